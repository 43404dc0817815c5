use aws_lc_rs::digest;
use data_encoding::BASE64;
use lentil_call::{BodyError, Code, Error};
use lentil_database::SystemTable;
use lentil_schema::Id;
use lentil_store::{ContentHash, FileError, FileWriter};
use lentil_values::Uuid;

use super::files::Files;
use super::files::file_error;
use crate::files::{FileRecord, Sha256, StoredFile};
use crate::http::Body;
use crate::internal;
use crate::run::RunToCompletion;

/// A media type is two names of 127 bytes at most, and a few parameters.
const MAX_CONTENT_TYPE_BYTES: usize = 1_024;

/// The reason why a file is not stored. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFileError {
    /// The bytes do not have the announced hash: send them again.
    #[error("the file's SHA-256 is {actual}, and {announced} was announced")]
    Sha256Mismatch {
        /// The announced hash, in base64.
        announced: String,
        /// The hash of the bytes that arrived, in base64.
        actual: String,
    },
    /// The content type is too long: shorten it.
    #[error("the file's Content-Type is {bytes} bytes long; the limit is {MAX_CONTENT_TYPE_BYTES}")]
    ContentTypeTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The bytes did not all arrive.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The bytes could not be stored: the disk is full, or the object store cannot be reached.
    #[error(transparent)]
    Files(#[from] FileError),
    /// The file's document could not be written.
    #[error("{}", .0.message())]
    Failed(Error),
}

impl StoreFileError {
    pub(super) fn into_error(self) -> Error {
        match self {
            StoreFileError::Failed(error) => error,
            StoreFileError::Files(error) => file_error(error),
            StoreFileError::Body(error) => error.into(),
            other => Error::new(Code::BadRequest, other.to_string()),
        }
    }
}

impl Files {
    /// Stores a file; when this returns, the blob is durable and has a document.
    ///
    /// `announced` is the hash that the sender gave.
    ///
    /// # Errors
    /// See [`StoreFileError`].
    pub async fn store(
        &self,
        mut body: Body,
        content_type: Option<String>,
        announced: Option<ContentHash>,
    ) -> Result<Id<StoredFile>, StoreFileError> {
        if let Some(content_type) = &content_type
            && content_type.len() > MAX_CONTENT_TYPE_BYTES
        {
            let bytes = content_type.len();
            return Err(StoreFileError::ContentTypeTooLong { bytes });
        }

        let mut writer = self.parts().blobs.create().await?;
        let mut digest = digest::Context::new(&digest::SHA256);
        let mut size = 0;
        while let Some(chunk) = body.chunk().await.transpose()? {
            digest.update(&chunk);
            size += chunk.len() as u64;
            writer.write(chunk).await?;
        }

        let digest = digest.finish();
        let hash = ContentHash(digest.as_ref().try_into().expect("a SHA-256 has 32 bytes"));
        if let Some(announced) = announced.filter(|announced| *announced != hash) {
            return Err(StoreFileError::Sha256Mismatch {
                announced: BASE64.encode(&announced.0),
                actual: BASE64.encode(&hash.0),
            });
        }

        // A client that hangs up from here on must not leave a blob without a document.
        let files = self.clone();
        RunToCompletion::new(async move { files.commit(writer, hash, size, content_type).await })
            .await
    }

    /// Makes a written blob durable and gives it a document.
    async fn commit(
        &self,
        writer: Box<dyn FileWriter>,
        hash: ContentHash,
        size: u64,
        content_type: Option<String>,
    ) -> Result<Id<StoredFile>, StoreFileError> {
        let lock = self.parts().locks.lock(&hash).await;
        let stored = async {
            writer.finish(&hash).await?;
            let inserted = self.insert(hash, size, content_type).await;
            inserted.map_err(StoreFileError::Failed)
        };
        let stored = stored.await;
        // `remove_unused` takes the lock itself.
        drop(lock);
        // The blob may already be durable, without a document that names it.
        if stored.is_err() {
            self.remove_unused(hash).await;
        }
        stored
    }

    /// Writes the document of a file whose blob is durable.
    async fn insert(
        &self,
        hash: ContentHash,
        size: u64,
        content_type: Option<String>,
    ) -> Result<Id<StoredFile>, Error> {
        let seeds = self.engine().seeds();
        let bits = u128::from(seeds.next_u64()) << 64 | u128::from(seeds.next_u64());
        let file = FileRecord {
            sha256: Sha256(hash),
            size: size as f64,
            content_type: content_type.into(),
            // Unguessable, and unrelated to the document's id.
            url_id: Uuid::from_random_bits(bits).to_string(),
        };
        internal::write(self.engine(), "_system/storage:insert", |cell| {
            let file = file.clone();
            async move {
                let id = SystemTable::open(&cell)?.insert(file)?;
                Ok(Id::new(id.document_id()))
            }
        })
        .await
    }
}
