use std::ops::{Deref, DerefMut};

use lentil_call::{Code, Error, Result};
use lentil_database::{SystemTable, TransactionCell};
use lentil_schema::{Doc, Id};

use super::files::Files;
use crate::engine::Engine;
use crate::files::{FileInfo, FileMetadata, FileRecord, StoredFile};

/// Files in a query, `ctx.storage`.
///
/// A document that it reads counts as read: a live query runs again when the file is deleted.
pub struct StorageReader {
    cell: TransactionCell,
    files: Files,
}

impl StorageReader {
    pub(crate) fn new(cell: TransactionCell, engine: &Engine) -> StorageReader {
        StorageReader {
            cell,
            files: Files::of(engine),
        }
    }

    /// Returns the URL at which anyone can read the file until it is deleted; `None` when it does
    /// not exist.
    ///
    /// # Errors
    /// [`Code::InvalidId`] when the id is not one of a file; when a limit of reading is passed.
    pub async fn get_url(&mut self, id: &Id<StoredFile>) -> Result<Option<String>> {
        let found = self.find(id, "storage.get_url").await?;
        Ok(found.map(|file| self.files.url(&file.url_id)))
    }

    /// Returns the file's metadata. `ctx.db.system.get` is the newer way to read it.
    ///
    /// # Errors
    /// As [`StorageReader::get_url`].
    pub async fn get_metadata(&mut self, id: &Id<StoredFile>) -> Result<Option<FileMetadata>> {
        let found = self.find(id, "storage.get_metadata").await?;
        Ok(found.map(|file| FileInfo::from(file.fields).into()))
    }

    async fn find(&self, id: &Id<StoredFile>, call: &str) -> Result<Option<Doc<FileRecord>>> {
        let mut table = SystemTable::open(&self.cell)?;
        table.get(call, id.document_id()).await
    }
}

/// Files in a mutation, `ctx.storage`: reads as a [`StorageReader`] does, deletes, and makes upload
/// URLs.
pub struct StorageWriter {
    reader: StorageReader,
}

impl StorageWriter {
    pub(crate) fn new(cell: TransactionCell, engine: &Engine) -> StorageWriter {
        StorageWriter {
            reader: StorageReader::new(cell, engine),
        }
    }

    /// Deletes a file as a part of the transaction: a mutation that fails deletes nothing.
    ///
    /// # Errors
    /// [`Code::NonexistentDocument`] when the file does not exist.
    pub async fn delete(&mut self, id: &Id<StoredFile>) -> Result<()> {
        delete_file(&self.reader.cell, id).await
    }

    /// Returns a URL to which a client can `POST` files for an hour. Each response is
    /// `{"storageId": …}`.
    ///
    /// # Errors
    /// [`Code::Abandoned`] after a nested call was dropped before it finished.
    pub async fn generate_upload_url(&mut self) -> Result<String> {
        let now_ms = self.reader.cell.borrow()?.now_ms;
        Ok(self.reader.files.upload_url(now_ms))
    }
}

impl Deref for StorageWriter {
    type Target = StorageReader;

    fn deref(&self) -> &StorageReader {
        &self.reader
    }
}

impl DerefMut for StorageWriter {
    fn deref_mut(&mut self) -> &mut StorageReader {
        &mut self.reader
    }
}

/// Deletes a file's document. Its blob is removed once that is durable.
pub(super) async fn delete_file(cell: &TransactionCell, id: &Id<StoredFile>) -> Result<()> {
    let mut files = SystemTable::<FileRecord>::open(cell)?;
    match files.get("storage.delete", id.document_id()).await? {
        Some(file) => files.delete(&file.id).await,
        None => Err(Error::new(
            Code::NonexistentDocument,
            format!("storage.delete: storage id {id} not found"),
        )),
    }
}
