use ::http::HeaderValue;
use lentil_schema::Id;
use lentil_values::Object;

use super::handles::file;
use super::{File, FileMetadata, StoredFile};
use crate::http::Body;
use crate::system::storage::DELETE;
use crate::{Code, Error, Result, Runtime};

/// Files as an action sees them, `ctx.storage`: to be stored and read too. Each call is a transaction of its own.
pub struct StorageActions {
    runtime: Runtime,
}

impl StorageActions {
    pub(crate) fn new(runtime: Runtime) -> StorageActions {
        StorageActions { runtime }
    }

    /// Stores bytes, all of them or a stream (a request's body, say), as a file of this content type.
    ///
    /// # Errors
    /// When the stream breaks off, or the bytes cannot be kept; nothing of them is left then.
    pub async fn store(
        &self,
        bytes: impl Into<Body>,
        content_type: Option<&str>,
    ) -> Result<Id<StoredFile>> {
        if let Some(content_type) = content_type.filter(|text| HeaderValue::from_str(text).is_err())
        {
            let message = format!("storage.store: {content_type:?} is no content type");
            return Err(Error::new(Code::BadRequest, message));
        }
        let stored = self
            .runtime
            .store_file(bytes.into(), content_type.map(str::to_owned), None)
            .await;
        stored.map_err(|error| error.into_error().in_context("storage.store"))
    }

    /// The file, or `None` when it does not exist (any more).
    ///
    /// # Errors
    /// When the id is not one of a file, or its content cannot be read.
    pub async fn get(&self, id: &Id<StoredFile>) -> Result<Option<File>> {
        let found = file(
            &mut self.runtime.reading().await?,
            id.document_id(),
            "storage.get",
        )
        .await?;
        let Some((_, file)) = found else {
            return Ok(None);
        };
        let body = self.runtime.read_file(&file, 0..file.size).await?;
        Ok(Some(File {
            content_type: file.content_type,
            size: file.size,
            body,
        }))
    }

    /// The URL at which anyone can read the file until it is deleted, or `None` when it does not exist (any more).
    ///
    /// # Errors
    /// When the id is not one of a file.
    pub async fn get_url(&self, id: &Id<StoredFile>) -> Result<Option<String>> {
        let found = file(
            &mut self.runtime.reading().await?,
            id.document_id(),
            "storage.get_url",
        )
        .await?;
        Ok(found.map(|(_, file)| self.runtime.file_url(&file.url_id)))
    }

    /// What is known of the file.
    ///
    /// # Errors
    /// When the id is not one of a file.
    pub async fn get_metadata(&self, id: &Id<StoredFile>) -> Result<Option<FileMetadata>> {
        let found = file(
            &mut self.runtime.reading().await?,
            id.document_id(),
            "storage.get_metadata",
        )
        .await?;
        Ok(found.map(|(_, file)| file.into()))
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// [`Code::NonexistentDocument`] when it does not exist (any more).
    pub async fn delete(&self, id: &Id<StoredFile>) -> Result<()> {
        self.runtime
            .system_mutation(DELETE, Object::from([("id", id.to_string())]))
            .await
            .map(drop)
    }

    /// A URL to which a client can `POST` files for an hour; each is answered `{"storageId": …}`.
    ///
    /// # Errors
    /// None, today.
    pub async fn generate_upload_url(&self) -> Result<String> {
        Ok(self.runtime.upload_url(self.runtime.now_ms()))
    }
}
