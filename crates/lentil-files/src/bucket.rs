use std::error::Error;
use std::sync::Arc;

use lentil_store::{ContentHash, FileError};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// Characters of a store's error message that are kept.
const MAX_REASON_LENGTH: usize = 400;

/// An object store and the prefix under which one database keeps its files.
pub(crate) struct Bucket {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) prefix: Path,
    /// The name in error messages, such as `s3://bucket/prefix`.
    pub(crate) name: String,
    /// The largest object that the store copies in one request, in bytes.
    pub(crate) copy_limit: u64,
}

impl Bucket {
    /// Returns the path of the folder of unfinished blobs.
    pub(crate) fn incoming(&self) -> Path {
        self.prefix.clone().join("incoming")
    }

    /// Returns the path of the record of the owner.
    pub(crate) fn owner_path(&self) -> Path {
        self.prefix.clone().join("owner")
    }

    /// Returns a random path under `incoming/`.
    pub(crate) fn new_path(&self) -> Result<Path, FileError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| FileError::new("naming a file", error))?;
        Ok(self
            .incoming()
            .join(format!("{:032x}", u128::from_ne_bytes(random))))
    }

    /// Returns the path of the blob with this hash.
    pub(crate) fn blob_path(&self, hash: &ContentHash) -> Path {
        self.prefix.clone().join(hash.to_string())
    }

    /// Returns the hash of the blob at this path; `None` if the path is not a blob's.
    pub(crate) fn blob_hash(&self, path: &Path) -> Option<ContentHash> {
        let hash = path.filename()?.parse().ok()?;
        // An object in a folder below the prefix is not a blob, whatever its name is.
        (*path == self.blob_path(&hash)).then_some(hash)
    }

    /// Deletes an object if it exists.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), FileError> {
        match self.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error("removing a file", &error)),
        }
    }

    pub(crate) fn error(&self, what: &str, error: &object_store::Error) -> FileError {
        FileError::new(format!("{what} in {}", self.name), one_line(error))
    }
}

/// Formats a store's error, which may be a page of XML, as one line of limited length.
pub(crate) fn one_line(error: &dyn Error) -> String {
    let words = error.to_string();
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_REASON_LENGTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_error_is_formatted_as_one_line() {
        let error = |text: &str| object_store::Error::Generic {
            store: "S3",
            source: text.into(),
        };
        assert_eq!(
            one_line(&error("a\n  <b>c</b>\n")),
            "Generic S3 error: a <b>c</b>"
        );
        assert_eq!(
            one_line(&error(&"ä ".repeat(1_000))).chars().count(),
            MAX_REASON_LENGTH + 1
        );
    }
}
