use std::ops::Range;

use bytes::Bytes;
use futures_util::StreamExt;
use lentil_call::store_error;
use lentil_store::FileError;
use lentil_values::{Uuid, Value};

use super::FileInfo;
use crate::database::{Journal, Transaction};
use crate::http::{Body, BodyError};
use crate::system::SystemTable;
use crate::system::storage::{BY_URL_ID, TABLE};
use crate::{Code, Error, Result, Runtime};

/// A stored file, as `ctx.storage.get` returns it.
#[derive(Debug)]
pub struct File {
    /// What its sender said it is.
    pub content_type: Option<String>,
    /// How many bytes it has.
    pub size: u64,
    /// Its bytes, read from the place as they are asked for.
    pub body: Body,
}

impl File {
    /// All its bytes at once.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn bytes(self) -> Result<Bytes> {
        Ok(self.body.bytes().await?)
    }
}

impl Runtime {
    /// The file with this UUID in its URL.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn file_at(&self, url_id: Uuid) -> Result<Option<FileInfo>> {
        let mut transaction = self.reading().await?;
        let found = SystemTable::open(&mut transaction, TABLE)
            .find(BY_URL_ID, &[Value::from(url_id.to_string())], 1)
            .await?;
        Ok(found.first().and_then(|row| FileInfo::of(&row.document)))
    }

    /// These bytes of a file, as they are asked for.
    ///
    /// # Errors
    /// When they are not there: the file was deleted just now, or its content was taken away from under the server.
    pub async fn read_file(&self, file: &FileInfo, range: Range<u64>) -> Result<Body> {
        let missing =
            || FileError::new(format!("reading {}", file.hash), "the content is not there");
        let read = self.files().read(&file.hash, range).await;
        let chunks = read
            .and_then(|found| found.ok_or_else(missing))
            .map_err(file_error)?;
        Ok(Body::from_stream(chunks.map(|chunk| {
            chunk.map_err(|error| {
                tracing::error!(%error, "a file could not be read to its end");
                BodyError::Incomplete("the file could not be read".to_owned())
            })
        })))
    }

    /// A view of what is committed, for the system's own reads.
    pub(crate) async fn reading(&self) -> Result<Transaction> {
        let snapshot = self.published_snapshot().await.map_err(store_error)?;
        Ok(Transaction::query(
            std::sync::Arc::clone(self.database()),
            snapshot,
            Journal::default(),
        ))
    }

    pub(super) fn file_url(&self, url_id: &str) -> String {
        format!("{}/{url_id}", self.files_url())
    }

    pub(super) fn upload_url(&self, now_ms: f64) -> String {
        let token = self.upload_key().sign(now_ms, self.seeds().next_u64());
        format!("{}/upload?token={token}", self.files_url())
    }

    fn files_url(&self) -> String {
        format!("{}{}", self.origin(), self.server_paths().files)
    }
}

/// The error a function sees when files cannot be written or read; where they are stays in the log.
pub(super) fn file_error(error: FileError) -> Error {
    Error::caused_by(
        Code::Unavailable,
        "the files cannot be written or read now; try again later",
        error,
    )
}
