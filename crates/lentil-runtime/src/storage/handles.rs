use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use lentil_schema::Id;
use lentil_store::StoredDocument;
use lentil_values::DocumentId;

use super::{FileInfo, FileMetadata, StoredFile};
use crate::database::{Slot, Transaction};
use crate::system::SystemTable;
use crate::system::storage::TABLE;
use crate::{Code, Error, Result, Runtime};

/// Files as a query sees them, `ctx.storage`.
///
/// What it tells counts as read: a live query runs again when the file is deleted.
pub struct StorageReader {
    runtime: Runtime,
    slot: Slot,
}

impl StorageReader {
    pub(crate) fn new(runtime: Runtime, slot: Slot) -> StorageReader {
        StorageReader { runtime, slot }
    }

    /// The URL at which anyone can read the file until it is deleted, or `None` when it does not exist (any more).
    ///
    /// # Errors
    /// When the id is not one of a file, or a limit of reading is passed.
    pub async fn get_url(&mut self, id: &Id<StoredFile>) -> Result<Option<String>> {
        let mut transaction = self.slot.lock()?;
        let found = file(&mut transaction, id.document_id(), "storage.get_url").await?;
        Ok(found.map(|(_, file)| self.runtime.file_url(&file.url_id)))
    }

    /// What is known of the file. `ctx.db.system.get` tells the same in newer words.
    ///
    /// # Errors
    /// As [`StorageReader::get_url`].
    pub async fn get_metadata(&mut self, id: &Id<StoredFile>) -> Result<Option<FileMetadata>> {
        let mut transaction = self.slot.lock()?;
        let found = file(&mut transaction, id.document_id(), "storage.get_metadata").await?;
        Ok(found.map(|(_, file)| file.into()))
    }
}

/// Files as a mutation sees them, `ctx.storage`: as a [`StorageReader`] does, and to be deleted and uploaded.
pub struct StorageWriter {
    reader: StorageReader,
}

impl StorageWriter {
    pub(crate) fn new(runtime: Runtime, slot: Slot) -> StorageWriter {
        StorageWriter {
            reader: StorageReader::new(runtime, slot),
        }
    }

    /// Deletes a file, as a part of the transaction: a mutation that fails deletes nothing.
    ///
    /// # Errors
    /// [`Code::NonexistentDocument`] when it does not exist (any more).
    pub async fn delete(&mut self, id: &Id<StoredFile>) -> Result<()> {
        delete_file(&mut *self.reader.slot.lock()?, id.document_id()).await
    }

    /// A URL to which a client can `POST` files for an hour; each is answered `{"storageId": …}`.
    ///
    /// # Errors
    /// [`Code::Abandoned`] after a nested call was dropped before it finished.
    pub async fn generate_upload_url(&mut self) -> Result<String> {
        let transaction = self.reader.slot.lock()?;
        Ok(self.reader.runtime.upload_url(transaction.now_ms))
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

/// A file's document, with what it says.
pub(super) async fn file(
    transaction: &mut Transaction,
    id: DocumentId,
    call: &str,
) -> Result<Option<(Arc<StoredDocument>, FileInfo)>> {
    transaction.env().tables.check_id(call, id, TABLE)?;
    let Some(document) = transaction
        .get(id)
        .await
        .map_err(|error| error.in_context(call))?
    else {
        return Ok(None);
    };
    let unreadable = || {
        Error::new(
            Code::Internal,
            format!("the stored file \"{id}\" has no readable document"),
        )
    };
    let file = FileInfo::of(&document).ok_or_else(unreadable)?;
    Ok(Some((document, file)))
}

/// Deletes a file's document; its bytes go when that is durable.
pub(crate) async fn delete_file(transaction: &mut Transaction, id: DocumentId) -> Result<()> {
    let found = file(transaction, id, "storage.delete").await?;
    let missing = || {
        Error::new(
            Code::NonexistentDocument,
            format!("storage.delete: storage id {id} not found"),
        )
    };
    let (document, _) = found.ok_or_else(missing)?;
    SystemTable::open(transaction, TABLE).delete(document);
    Ok(())
}

impl From<FileInfo> for FileMetadata {
    fn from(file: FileInfo) -> FileMetadata {
        FileMetadata {
            storage_id: file.url_id,
            sha256: file.hash.to_string(),
            size: file.size as f64,
            content_type: file.content_type,
        }
    }
}
