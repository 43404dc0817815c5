use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use lentil_schema::{Document, Id, Patch};
use lentil_store::StoredDocument;
use lentil_values::{DocumentId, FieldName, InternalId, Object, Value};

use super::transaction::size_of;
use super::{DatabaseReader, Transaction};
use crate::limits::check_size;
use crate::tables::OpenTable;
use crate::{Code, Error, Result};

/// The database as a mutation sees it, `ctx.db`: reads as a [`DatabaseReader`] does, and writes.
///
/// Writes are seen by the mutation's own reads at once, and by everyone else, all together, when it has returned.
pub struct DatabaseWriter {
    reader: DatabaseReader,
}

impl DatabaseWriter {
    pub(crate) fn over(transaction: Box<Transaction>) -> DatabaseWriter {
        DatabaseWriter {
            reader: DatabaseReader::over(transaction),
        }
    }

    /// Stores a new document and returns its id.
    ///
    /// # Errors
    /// Here and below: when the document does not match the schema, or is over a limit, or too much is written.
    pub async fn insert<T: Document>(&mut self, document: T) -> Result<Id<T>> {
        self.insert_object(T::TABLE, document.into_fields())
            .await
            .map(Id::new)
    }

    /// Changes the named fields of a document; the others stay.
    ///
    /// A change that leaves the document as it was writes nothing.
    ///
    /// # Errors
    /// [`Code::NonexistentDocument`] when it is not there.
    pub async fn patch<T: Document>(
        &mut self,
        id: &Id<T>,
        patch: impl Into<Patch<T>>,
    ) -> Result<()> {
        self.patch_object(id.document_id(), patch.into().changes)
            .await
    }

    /// Replaces all fields of a document but `_id` and `_creationTime`.
    ///
    /// # Errors
    /// [`Code::NonexistentDocument`] when it is not there.
    pub async fn replace<T: Document>(&mut self, id: &Id<T>, document: T) -> Result<()> {
        self.replace_object(id.document_id(), document.into_fields())
            .await
    }

    /// Deletes a document.
    ///
    /// # Errors
    /// [`Code::NonexistentDocument`] when it is not there: deleting twice is an error.
    pub async fn delete<T: Document>(&mut self, id: &Id<T>) -> Result<()> {
        self.delete_object(id.document_id()).await
    }

    /// As [`DatabaseWriter::insert`], for a table known by its name.
    ///
    /// # Errors
    /// [`Code::InvalidQuery`] when the schema does not declare the table.
    pub async fn insert_object(&mut self, table: &str, fields: Object) -> Result<DocumentId> {
        let transaction = self.reader.transaction()?;
        let open = transaction
            .runtime
            .tables()
            .named(table)
            .cloned()
            .ok_or_else(|| {
                let message = format!("db.insert: table \"{table}\" is not declared in the schema");
                Error::new(Code::InvalidQuery, message)
            })?;
        let creation_time = transaction.runtime.next_creation_time(transaction.now_ms);
        let random = transaction.runtime.seeds().next_u64();
        let id = DocumentId {
            table: open.number(),
            internal: InternalId::at(creation_time, random),
        };
        drop(transaction);
        self.put(
            "db.insert",
            &open,
            None,
            StoredDocument {
                id,
                creation_time,
                fields,
            },
        )?;
        Ok(id)
    }

    /// As [`DatabaseWriter::patch`], for any table; `None` removes a field.
    ///
    /// # Errors
    /// As [`DatabaseWriter::patch`].
    pub async fn patch_object(
        &mut self,
        id: DocumentId,
        changes: Vec<(FieldName, Option<Value>)>,
    ) -> Result<()> {
        let (open, old) = self.existing("db.patch", id).await?;
        let mut new = (*old).clone();
        for (name, value) in changes {
            match value {
                Some(value) => new.fields.insert(name, value),
                None => new.fields.remove(name.as_str()),
            };
        }
        self.put("db.patch", &open, Some(old), new)
    }

    /// As [`DatabaseWriter::replace`], for any table.
    ///
    /// # Errors
    /// As [`DatabaseWriter::replace`].
    pub async fn replace_object(&mut self, id: DocumentId, fields: Object) -> Result<()> {
        let (open, old) = self.existing("db.replace", id).await?;
        let new = StoredDocument {
            fields,
            ..(*old).clone()
        };
        self.put("db.replace", &open, Some(old), new)
    }

    /// As [`DatabaseWriter::delete`], for any table.
    ///
    /// # Errors
    /// As [`DatabaseWriter::delete`].
    pub async fn delete_object(&mut self, id: DocumentId) -> Result<()> {
        let (_, old) = self.existing("db.delete", id).await?;
        let mut transaction = self.reader.transaction()?;
        transaction.write("db.delete", size_of(&old), Some(old), None)
    }

    async fn existing(
        &mut self,
        call: &str,
        id: DocumentId,
    ) -> Result<(Arc<OpenTable>, Arc<StoredDocument>)> {
        let found = self
            .reader
            .transaction()?
            .get(id)
            .await
            .map_err(|error| error.in_context(call))?;
        let table = self
            .reader
            .transaction()?
            .runtime
            .tables()
            .numbered(id.table)
            .cloned();
        table.zip(found).ok_or_else(|| {
            Error::new(
                Code::NonexistentDocument,
                format!("{call}: there is no document with the id \"{id}\""),
            )
        })
    }

    fn put(
        &mut self,
        call: &str,
        open: &OpenTable,
        old: Option<Arc<StoredDocument>>,
        new: StoredDocument,
    ) -> Result<()> {
        if old.as_ref().is_some_and(|old| old.fields == new.fields) {
            return Ok(());
        }
        let mut transaction = self.reader.transaction()?;
        transaction.check_document(call, open, &new)?;
        transaction.write(call, size_of(&new), old, Some(Arc::new(new)))
    }

    pub(crate) fn slot(&self) -> super::Slot {
        self.reader.slot()
    }

    pub(crate) fn into_reader(self) -> DatabaseReader {
        self.reader
    }
}

impl Transaction {
    fn write(
        &mut self,
        call: &str,
        bytes: usize,
        old: Option<Arc<StoredDocument>>,
        new: Option<Arc<StoredDocument>>,
    ) -> Result<()> {
        self.usage
            .write_document(bytes, self.runtime.limits())
            .map_err(|error| error.in_context(call))?;
        self.buffer().put(old, new);
        Ok(())
    }

    /// Holds a document against the limits and its table's schema, before anything is written.
    fn check_document(
        &self,
        call: &str,
        open: &OpenTable,
        document: &StoredDocument,
    ) -> Result<()> {
        let limits = self.runtime.limits();
        let what = format_args!("{call}: the document for table \"{}\"", open.name());
        check_size(what, size_of(document), limits.document_bytes)?;
        let nesting = document.fields.nesting();
        if nesting > limits.document_nesting {
            let message = format!(
                "{what} is nested {nesting} levels deep; the limit is {}",
                limits.document_nesting
            );
            return Err(Error::new(Code::ValueTooLarge, message));
        }
        if let Some((name, _)) = document
            .fields
            .iter()
            .find(|(name, _)| name.as_str().starts_with('_'))
        {
            let message = format!(
                "{what}: the field `{}` begins with `_`, which only system fields do",
                name.as_str()
            );
            return Err(Error::new(Code::SchemaEnforcement, message));
        }
        document
            .fields
            .check_limits()
            .map_err(|error| Error::new(Code::ValueTooLarge, format!("{what}: {error}")))?;
        open.table
            .validate(&document.fields, self.runtime.tables())
            .map_err(|error| {
                let message = format!("{what} does not match the schema: field {error}");
                Error::new(Code::SchemaEnforcement, message)
            })
    }
}

impl Deref for DatabaseWriter {
    type Target = DatabaseReader;

    fn deref(&self) -> &DatabaseReader {
        &self.reader
    }
}

impl DerefMut for DatabaseWriter {
    fn deref_mut(&mut self) -> &mut DatabaseReader {
        &mut self.reader
    }
}
