use std::sync::Arc;

use lentil_schema::Document;
use lentil_store::{ContentHash, DocumentWrite, FileStore};
use lentil_values::TableNumber;
use tokio::sync::{Mutex, MutexGuard};

use super::document::FileRecord;
use super::upload_token::UploadKey;

/// The parts of an engine that only files use.
pub(crate) struct FileParts {
    pub(crate) blobs: Arc<dyn FileStore>,
    pub(crate) locks: BlobLocks,
    pub(crate) upload_key: UploadKey,
}

/// Locks blobs while they are stored or removed.
///
/// Without it, a blob could be removed while a document that names it is being written. Blobs whose
/// hashes begin with the same byte share a lock.
// A fixed number, so that no lock has to be created or removed with its blob.
pub(crate) struct BlobLocks(Vec<Mutex<()>>);

impl Default for BlobLocks {
    fn default() -> BlobLocks {
        BlobLocks((0..=u8::MAX).map(|_| Mutex::new(())).collect())
    }
}

impl BlobLocks {
    pub(crate) async fn lock(&self, hash: &ContentHash) -> MutexGuard<'_, ()> {
        self.0[usize::from(hash.0[0])].lock().await
    }
}

impl FileRecord {
    /// Returns the blobs of the files that a transaction deletes from the table of files.
    pub(crate) fn deleted_blobs(
        files: Option<TableNumber>,
        writes: &[DocumentWrite],
    ) -> Vec<ContentHash> {
        let mut blobs = Vec::new();
        for write in writes {
            let is_deleted = write.new.is_none() && files == Some(write.id.table);
            let Some(old) = write.old.as_ref().filter(|_| is_deleted) else {
                continue;
            };
            // The blob of a damaged record stays until the next sweep.
            if let Ok(file) = FileRecord::from_fields(old.fields.clone()) {
                blobs.push(file.sha256.0);
            }
        }
        blobs
    }
}
