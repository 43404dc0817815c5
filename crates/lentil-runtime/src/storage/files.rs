use std::ops::Range;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use lentil_call::{BodyError, Code, Error, Result};
use lentil_database::SystemTable;
use lentil_store::{ContentHash, FileError};
use lentil_values::Uuid;

use crate::engine::Engine;
use crate::files::{FileInfo, FileParts, FileRecord, Sha256, UploadTokenError};
use crate::http::Body;
use crate::internal;

/// The stored files of a running application, as everything outside of a transaction uses them.
#[derive(Clone)]
pub struct Files {
    engine: Engine,
}

impl Files {
    pub(crate) fn of(engine: &Engine) -> Files {
        Files {
            engine: engine.clone(),
        }
    }

    /// Finds the file with this UUID in its URL.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, url_id: Uuid) -> Result<Option<FileInfo>> {
        let range = FileRecord::BY_URL_ID.eq(url_id.to_string());
        let found = SystemTable::open(&internal::read(&self.engine).await?)?
            .first(range)
            .await?;
        Ok(found.map(|found| found.fields.into()))
    }

    /// Reads a range of a file's bytes, as the body is consumed.
    ///
    /// # Errors
    /// When the blob is missing: the file was just deleted, or something other than the server
    /// removed the blob.
    pub async fn read(&self, file: &FileInfo, range: Range<u64>) -> Result<Body> {
        let found = self.parts().blobs.read(&file.hash, range).await;
        let Some(chunks) = found.map_err(file_error)? else {
            let what = format!("reading {}", file.hash);
            return Err(file_error(FileError::new(what, "the blob is missing")));
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
    /// See [`UploadTokenError`].
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
        let _lock = self.parts().locks.lock(&hash).await;
        match self.is_used(hash).await {
            Ok(true) => return false,
            Ok(false) => {}
            Err(error) => {
                // In doubt the blob stays, because a document may still name it.
                tracing::warn!(%hash, %error, "failed to check whether a blob is still used");
                return false;
            }
        }
        match self.parts().blobs.remove(&hash).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%hash, %error, "failed to remove an unused blob");
                false
            }
        }
    }

    async fn is_used(&self, hash: ContentHash) -> Result<bool> {
        let range = FileRecord::BY_SHA256.eq(Sha256(hash));
        let found = SystemTable::open(&internal::read(&self.engine).await?)?
            .first(range)
            .await?;
        Ok(found.is_some())
    }

    /// Removes those of these blobs that are no longer used, once the deletion of their files is
    /// durable.
    pub(crate) fn release(engine: &Engine, blobs: Vec<ContentHash>) {
        if blobs.is_empty() {
            return;
        }
        let files = Files::of(engine);
        // A task of its own, so that the mutation does not wait for the removal.
        tokio::spawn(async move {
            for hash in blobs {
                files.remove_unused(hash).await;
            }
        });
    }

    pub(super) fn parts(&self) -> &FileParts {
        &self.engine.parts().files
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// Returns the error of a function whose files cannot be written or read. Only the log names the
/// place.
pub(super) fn file_error(error: FileError) -> Error {
    Error::caused_by(
        Code::Unavailable,
        "the files cannot be written or read now; try again later",
        error,
    )
}
