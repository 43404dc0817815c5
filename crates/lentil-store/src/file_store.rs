use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

/// Where the contents of files are kept, each under the hash of its bytes: one however many documents name it.
///
/// It knows nothing of documents. Who calls it sees to it that a content is removed only when nobody needs it, and
/// that [`FileWriter::finish`] and [`FileStore::remove`] of one hash never run at the same time.
#[async_trait]
pub trait FileStore: Send + Sync + 'static {
    /// Begins a new content. Nothing of it is seen before it is finished; what is left of one that was not, after a
    /// crash too, goes by itself.
    async fn create(&self) -> Result<Box<dyn FileWriter>, FileError>;

    /// The bytes of this range, in chunks of moderate size; `None` when there is no such content. A range that
    /// reaches past the end is an error, here or in a chunk: a content that was cut off must not look whole.
    ///
    /// Once begun, it is read to its end even if it is removed meanwhile, where the place allows.
    async fn read(
        &self,
        hash: &ContentHash,
        range: Range<u64>,
    ) -> Result<Option<FileChunks>, FileError>;

    /// Removes a content; that there is none is fine.
    async fn remove(&self, hash: &ContentHash) -> Result<(), FileError>;

    /// Every content there is, in no order.
    fn list(&self) -> BoxStream<'_, Result<ContentHash, FileError>>;
}

/// A content's bytes as they come.
pub type FileChunks = BoxStream<'static, Result<Bytes, FileError>>;

/// A content that is being written. To drop it is to give it up.
#[async_trait]
pub trait FileWriter: Send {
    /// Adds bytes at the end.
    async fn write(&mut self, chunk: Bytes) -> Result<(), FileError>;

    /// Names it by the hash of its bytes; once this returns it is durable. Where the same content is there already,
    /// it takes its place.
    async fn finish(self: Box<Self>, hash: &ContentHash) -> Result<(), FileError>;
}

/// A content could not be written or read. The place is named in the text, for the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct FileError {
    /// What was tried.
    pub what: String,
    /// Why it failed.
    pub reason: String,
}

impl FileError {
    /// An error of this attempt.
    pub fn new(what: impl Into<String>, reason: impl fmt::Display) -> FileError {
        FileError {
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}

/// The SHA-256 of a content. It prints as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

/// The text is not 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a content's hash is 64 lowercase hexadecimal digits")]
pub struct ContentHashError;

impl FromStr for ContentHash {
    type Err = ContentHashError;

    fn from_str(text: &str) -> Result<ContentHash, ContentHashError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(ContentHashError),
        };
        let mut hash = [0; 32];
        if text.len() != 64 {
            return Err(ContentHashError);
        }
        for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(ContentHash(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_printed_and_no_other_way() {
        let hash = ContentHash(std::array::from_fn(|at| at as u8 * 7));
        let text = hash.to_string();
        assert_eq!(text.parse(), Ok(hash));
        for other in [
            &text[1..],
            &text.to_uppercase(),
            &format!("{text}0"),
            &text.replace('0', "é"),
            "",
        ] {
            assert_eq!(
                other.parse::<ContentHash>(),
                Err(ContentHashError),
                "{other}"
            );
        }
    }
}
