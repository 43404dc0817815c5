use aws_lc_rs::digest;
use data_encoding::BASE64;
use lentil_schema::Id;
use lentil_store::{ContentHash, FileError, FileWriter};

use super::file::file_error;
use super::{StoredFile, UploadTokenError};
use crate::http::{Body, BodyError};
use crate::run::ToItsEnd;
use crate::system::storage::{INSERT, insert_args};
use crate::{Code, Error, Runtime};

/// A media type is two names of 127 bytes at most, and a few parameters.
const MAX_CONTENT_TYPE_BYTES: usize = 1_024;

/// Why a file is not stored. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFileError {
    /// Its bytes are not those that were announced: send it again.
    #[error("the file's SHA-256 is {actual}, and {announced} was announced")]
    Sha256Mismatch {
        /// What was announced, in base64.
        announced: String,
        /// What came, in base64.
        actual: String,
    },
    /// The content type is too long: shorten it.
    #[error("the file's Content-Type is {bytes} bytes long; the limit is {MAX_CONTENT_TYPE_BYTES}")]
    ContentTypeTooLong {
        /// Its length.
        bytes: usize,
    },
    /// Its bytes did not all come.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Its bytes could not be kept: the disk is full, or the place cannot be reached.
    #[error(transparent)]
    Files(#[from] FileError),
    /// Its document could not be written.
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

impl Runtime {
    /// Returns whether an upload URL's token is good now.
    ///
    /// # Errors
    /// That it is not.
    pub fn check_upload_token(&self, token: &str) -> Result<(), UploadTokenError> {
        self.upload_key().check(token, self.now_ms())
    }

    /// Stores a file: when this returns, it is durable and has a document. `announced` is the hash its sender names.
    ///
    /// # Errors
    /// As [`StoreFileError`] says.
    pub async fn store_file(
        &self,
        mut body: Body,
        content_type: Option<String>,
        announced: Option<ContentHash>,
    ) -> Result<Id<StoredFile>, StoreFileError> {
        if let Some(bytes) = content_type.as_ref().map(String::len)
            && bytes > MAX_CONTENT_TYPE_BYTES
        {
            return Err(StoreFileError::ContentTypeTooLong { bytes });
        }
        let mut writer = self.files().create().await?;
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
            let base64 = |hash: ContentHash| BASE64.encode(&hash.0);
            return Err(StoreFileError::Sha256Mismatch {
                announced: base64(announced),
                actual: base64(hash),
            });
        }
        let runtime = self.clone();
        // From here on it is stored whoever hangs up: half of it would leave a content without a document.
        ToItsEnd::new(async move { runtime.keep(writer, hash, size, content_type).await }).await
    }

    /// Makes a written content durable and gives it a document.
    async fn keep(
        &self,
        writer: Box<dyn FileWriter>,
        hash: ContentHash,
        size: u64,
        content_type: Option<String>,
    ) -> Result<Id<StoredFile>, StoreFileError> {
        let held = self.content_locks().lock(&hash).await;
        let kept = async {
            writer.finish(&hash).await?;
            let args = insert_args(&BASE64.encode(&hash.0), size, content_type.as_deref());
            let id = self
                .system_mutation(INSERT, args)
                .await
                .map_err(StoreFileError::Failed)?;
            let id = id.as_str().and_then(|id| id.parse().ok());
            id.ok_or_else(|| {
                StoreFileError::Failed(Error::new(Code::Internal, "a new file has no id"))
            })
        };
        let kept = kept.await;
        drop(held);
        if kept.is_err() {
            self.remove_if_unneeded(hash).await;
        }
        kept
    }
}
