use ::http::HeaderValue;
use bytes::Bytes;
use lentil_call::{Code, Error, Result};
use lentil_database::SystemTable;
use lentil_schema::{Doc, Id};

use super::files::Files;
use super::handles::delete_file;
use crate::engine::Engine;
use crate::files::{FileInfo, FileMetadata, FileRecord, StoredFile};
use crate::http::Body;
use crate::internal;

/// Files in an action, `ctx.storage`: stores and reads them too. Each call is a transaction of its
/// own.
pub struct StorageActions {
    files: Files,
}

/// A stored file, as [`StorageActions::get`] returns it.
#[derive(Debug)]
pub struct File {
    /// The `Content-Type` that its sender gave.
    pub content_type: Option<String>,
    /// Its length in bytes.
    pub size: u64,
    /// Its bytes, which are read as the body is consumed.
    pub body: Body,
}

impl File {
    /// Reads all bytes.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn bytes(self) -> Result<Bytes> {
        Ok(self.body.bytes().await?)
    }
}

impl StorageActions {
    pub(crate) fn new(engine: &Engine) -> StorageActions {
        StorageActions {
            files: Files::of(engine),
        }
    }

    /// Stores bytes, whole or as a stream (such as a request's body), as a file of this content
    /// type.
    ///
    /// # Errors
    /// When the stream breaks off, or the bytes cannot be stored; nothing of them is left then.
    pub async fn store(
        &self,
        bytes: impl Into<Body>,
        content_type: Option<&str>,
    ) -> Result<Id<StoredFile>> {
        // Each download sends the content type as a header.
        if let Some(content_type) = content_type
            && HeaderValue::from_str(content_type).is_err()
        {
            let message = format!("storage.store: {content_type:?} is not a content type");
            return Err(Error::new(Code::BadRequest, message));
        }
        let content_type = content_type.map(str::to_owned);
        let stored = self.files.store(bytes.into(), content_type, None).await;
        stored.map_err(|error| error.into_error().in_context("storage.store"))
    }

    /// Returns the file; `None` when it does not exist.
    ///
    /// # Errors
    /// [`Code::InvalidId`] when the id is not one of a file; when its blob cannot be read.
    pub async fn get(&self, id: &Id<StoredFile>) -> Result<Option<File>> {
        let Some(found) = self.find(id, "storage.get").await? else {
            return Ok(None);
        };
        let file = FileInfo::from(found.fields);
        let body = self.files.read(&file, 0..file.size).await?;
        Ok(Some(File {
            content_type: file.content_type,
            size: file.size,
            body,
        }))
    }

    /// Returns the URL at which anyone can read the file until it is deleted; `None` when it does
    /// not exist.
    ///
    /// # Errors
    /// [`Code::InvalidId`] when the id is not one of a file.
    pub async fn get_url(&self, id: &Id<StoredFile>) -> Result<Option<String>> {
        let found = self.find(id, "storage.get_url").await?;
        Ok(found.map(|file| self.files.url(&file.url_id)))
    }

    /// Returns the file's metadata.
    ///
    /// # Errors
    /// [`Code::InvalidId`] when the id is not one of a file.
    pub async fn get_metadata(&self, id: &Id<StoredFile>) -> Result<Option<FileMetadata>> {
        let found = self.find(id, "storage.get_metadata").await?;
        Ok(found.map(|file| FileInfo::from(file.fields).into()))
    }

    pub(super) async fn find(
        &self,
        id: &Id<StoredFile>,
        call: &str,
    ) -> Result<Option<Doc<FileRecord>>> {
        let mut table = SystemTable::open(&internal::read(self.files.engine()).await?)?;
        table.get(call, id.document_id()).await
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// [`Code::NonexistentDocument`] when the file does not exist.
    pub async fn delete(&self, id: &Id<StoredFile>) -> Result<()> {
        let id = *id;
        internal::write(
            self.files.engine(),
            "_system/storage:delete",
            |cell| async move { delete_file(&cell, &id).await },
        )
        .await
    }

    /// Returns a URL to which a client can `POST` files for an hour. Each response is
    /// `{"storageId": …}`.
    ///
    /// # Errors
    /// None, today.
    pub async fn generate_upload_url(&self) -> Result<String> {
        Ok(self.files.upload_url(self.files.engine().now_ms()))
    }
}
