use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

/// A store of blobs, the contents of files. A blob is stored once under the hash of its bytes,
/// however many documents refer to it.
///
/// The store knows nothing of documents. The caller must remove a blob only when no document refers
/// to it, and must not call [`FileWriter::finish`] and [`FileStore::remove`] for one hash at the
/// same time.
#[async_trait]
pub trait FileStore: Send + Sync + 'static {
    /// Begins a new blob. It is invisible until it is finished. The store removes unfinished blobs
    /// by itself, also those that a crash has left.
    async fn create(&self) -> Result<Box<dyn FileWriter>, FileError>;

    /// Reads the bytes of this range in chunks of moderate size; `None` if there is no such blob. A
    /// range that extends past the end is an error, here or in a chunk, because a truncated blob
    /// must not look complete.
    ///
    /// A read that has begun continues to the end if the blob is removed meanwhile, unless the
    /// storage prevents it.
    async fn read(
        &self,
        hash: &ContentHash,
        range: Range<u64>,
    ) -> Result<Option<FileChunks>, FileError>;

    /// Removes a blob. It is not an error if there is none.
    async fn remove(&self, hash: &ContentHash) -> Result<(), FileError>;

    /// Lists the hashes of all blobs in no particular order.
    fn list(&self) -> BoxStream<'_, Result<ContentHash, FileError>>;
}

/// The bytes of a blob, chunk by chunk.
pub type FileChunks = BoxStream<'static, Result<Bytes, FileError>>;

/// A blob that is being written. Dropping the writer discards it.
#[async_trait]
pub trait FileWriter: Send {
    /// Appends bytes.
    async fn write(&mut self, chunk: Bytes) -> Result<(), FileError>;

    /// Makes the blob visible under the hash of its bytes. It is durable once this returns. It
    /// replaces an equal blob.
    async fn finish(self: Box<Self>, hash: &ContentHash) -> Result<(), FileError>;
}

/// A failure to write or read a blob. The text names the place, for the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{action}: {reason}")]
pub struct FileError {
    /// The attempted action, such as "reading" and the blob's hash.
    pub action: String,
    /// The cause of the failure.
    pub reason: String,
}

impl FileError {
    /// Makes an error of this action.
    pub fn new(action: impl Into<String>, reason: impl fmt::Display) -> FileError {
        FileError {
            action: action.into(),
            reason: reason.to_string(),
        }
    }
}

/// The SHA-256 of a blob. It prints as 64 hexadecimal digits.
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

/// The error for a text that is not 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a content hash must be 64 lowercase hexadecimal digits")]
pub struct ContentHashError;

impl FromStr for ContentHash {
    type Err = ContentHashError;

    fn from_str(text: &str) -> Result<ContentHash, ContentHashError> {
        // Only lower case: the text names a stored blob, and each blob has one name.
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(ContentHashError),
        };
        let mut hash = [0; 32];
        // Checked first, because `chunks_exact` ignores an odd digit at the end.
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
    fn only_the_printed_form_of_a_hash_is_parsed() {
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
