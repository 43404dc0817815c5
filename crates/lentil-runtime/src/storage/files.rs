use std::ops::Range;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use lentil_call::{BodyError, store_error};
use lentil_database::{
    DatabaseReader, Journal, ReadBudget, SystemTable, Transaction, TransactionCell,
};
use lentil_schema::Document;
use lentil_store::{ContentHash, DocumentWrite, FileError, FileStore};
use lentil_values::{TableNames, Uuid};
use tokio::sync::{Mutex, MutexGuard};

use super::stored_file::{FileRecord, Sha256};
use super::{FileInfo, UploadKey, UploadTokenError};
use crate::engine::Engine;
use crate::http::Body;
use crate::run::published_snapshot;
use crate::{Code, Error, Result, Runtime};

/// The stored files of a running application, as everything outside of a transaction uses them.
#[derive(Clone)]
pub struct Files {
    engine: Engine,
}

/// The parts of a runtime that only its files use.
pub(crate) struct FileParts {
    pub(crate) blobs: Arc<dyn FileStore>,
    pub(crate) locks: BlobLocks,
    pub(crate) upload_key: UploadKey,
}

/// Locks blobs while they are stored or removed.
///
/// Without it, a blob could be removed while a document that names it is being written. Blobs whose hashes begin with
/// the same byte share a lock.
pub(crate) struct BlobLocks(Vec<Mutex<()>>);

impl Default for BlobLocks {
    fn default() -> BlobLocks {
        BlobLocks((0..=u8::MAX).map(|_| Mutex::new(())).collect())
    }
}

impl Runtime {
    /// Returns the stored files.
    pub fn files(&self) -> Files {
        self.engine.files()
    }
}

impl Engine {
    /// Returns the stored files.
    pub(crate) fn files(&self) -> Files {
        Files {
            engine: self.clone(),
        }
    }

    /// Opens a view of what is committed, for the engine's own reads.
    pub(crate) async fn reading(&self) -> Result<DatabaseReader> {
        let snapshot = published_snapshot(self).await.map_err(store_error)?;
        let transaction = Transaction::query(
            Arc::clone(self.database()),
            snapshot,
            Journal::default(),
            ReadBudget::Unlimited,
        );
        let cell = TransactionCell::new(Box::new(transaction));
        Ok(DatabaseReader::on(cell))
    }
}

impl Files {
    /// Finds the file with this UUID in its URL.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, url_id: Uuid) -> Result<Option<FileInfo>> {
        let range = FileRecord::BY_URL_ID.eq(url_id.to_string());
        let found = SystemTable::of(&self.engine.reading().await?)?
            .first(range)
            .await?;
        Ok(found.map(|found| found.fields.into()))
    }

    /// Reads a range of a file's bytes, as the body is consumed.
    ///
    /// # Errors
    /// When the blob is missing: the file was just deleted, or something other than the server removed the blob.
    pub async fn read(&self, file: &FileInfo, range: Range<u64>) -> Result<Body> {
        let found = self.parts().blobs.read(&file.hash, range).await;
        let Some(chunks) = found.map_err(file_error)? else {
            let what = format!("reading {}", file.hash);
            return Err(file_error(FileError::new(what, "the content is not there")));
        };
        Ok(Body::from_stream(chunks.map(|chunk| {
            chunk.map_err(|error| {
                tracing::error!(%error, "a file could not be read to its end");
                BodyError::Incomplete("the file could not be read".to_owned())
            })
        })))
    }

    /// Returns an error unless the token of an upload URL is valid now.
    ///
    /// # Errors
    /// As [`UploadTokenError`] says.
    pub fn check_upload_token(&self, token: &str) -> Result<(), UploadTokenError> {
        self.parts().upload_key.check(token, self.engine.now_ms())
    }

    /// Returns a URL to which a client can upload for an hour from `now_ms` on.
    pub(super) fn upload_url(&self, now_ms: f64) -> String {
        let nonce = self.engine.seeds().next_u64();
        let token = self.parts().upload_key.sign(now_ms, nonce);
        format!("{}/upload?token={token}", self.base_url())
    }

    /// Returns the URL at which a file is downloaded.
    pub(super) fn url(&self, url_id: &str) -> String {
        format!("{}/{url_id}", self.base_url())
    }

    fn base_url(&self) -> String {
        let path = self.engine.parts().server_paths.files;
        format!("{}{path}", self.engine.origin())
    }

    /// Lists the hashes of all blobs, those without a document among them.
    pub fn blobs(&self) -> BoxStream<'_, Result<ContentHash, FileError>> {
        self.parts().blobs.list()
    }

    /// Removes a blob unless a document names it, and returns whether it did.
    ///
    /// A failure is logged, and leaves the blob to the next sweep.
    pub async fn remove_unused(&self, hash: ContentHash) -> bool {
        let _lock = self.lock(&hash).await;
        match self.is_used(hash).await {
            Ok(true) => return false,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%hash, %error, "failed to find out whether a stored content is still used");
                return false;
            }
        }
        match self.parts().blobs.remove(&hash).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%hash, %error, "failed to remove an unused stored content");
                false
            }
        }
    }

    async fn is_used(&self, hash: ContentHash) -> Result<bool> {
        let range = FileRecord::BY_SHA256.eq(Sha256(hash));
        let found = SystemTable::of(&self.engine.reading().await?)?
            .first(range)
            .await?;
        Ok(found.is_some())
    }

    /// Returns the blobs of the files that a transaction deletes.
    pub(crate) fn deleted_blobs(&self, writes: &[DocumentWrite]) -> Vec<ContentHash> {
        let files = self.engine.tables().number(FileRecord::TABLE);
        let mut blobs = Vec::new();
        for write in writes {
            let is_deleted = write.new.is_none() && files == Some(write.id.table);
            let Some(old) = write.old.as_ref().filter(|_| is_deleted) else {
                continue;
            };
            if let Ok(file) = FileRecord::from_fields(old.fields.clone()) {
                blobs.push(file.sha256.0);
            }
        }
        blobs
    }

    /// Removes those of these blobs that are no longer used, once the deletion of their files is durable.
    pub(crate) fn release(&self, blobs: Vec<ContentHash>) {
        if blobs.is_empty() {
            return;
        }
        let files = self.clone();
        tokio::spawn(async move {
            for hash in blobs {
                files.remove_unused(hash).await;
            }
        });
    }

    /// Locks a blob for storing or removing it.
    pub(super) async fn lock(&self, hash: &ContentHash) -> MutexGuard<'_, ()> {
        self.parts().locks.0[usize::from(hash.0[0])].lock().await
    }

    pub(super) fn parts(&self) -> &FileParts {
        &self.engine.parts().files
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// The error that a function gets when files cannot be written or read; the place stays in the log.
pub(super) fn file_error(error: FileError) -> Error {
    Error::caused_by(
        Code::Unavailable,
        "the files cannot be written or read now; try again later",
        error,
    )
}
