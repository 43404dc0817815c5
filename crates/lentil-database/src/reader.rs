use std::sync::Arc;

use lentil_call::{Code, Error, Result};
use lentil_schema::{Doc, Document, Id, IntoRange, RangeSpec};
use lentil_store::StoredDocument;
use lentil_values::{DocumentId, Object, TableNames, TableNumber};

use crate::Pages;
use crate::cell::{TransactionCell, TransactionGuard};
use crate::decode::Decode;
use crate::query::{Query, Scope};
use crate::system::SystemReader;

/// The database as a query sees it, `ctx.db`: everything committed when the query began, and nothing later.
///
/// In a mutation it also shows what the mutation has written so far.
pub struct DatabaseReader {
    /// The system's tables, to be read.
    pub system: SystemReader,
    slot: TransactionCell,
}

impl DatabaseReader {
    /// The document with this id, or `None` when it does not exist (any more).
    ///
    /// # Errors
    /// [`Code::InvalidId`] when the id is one of another table; when a limit of reading is passed, or the stored
    /// document does not decode as `T`.
    pub async fn get<T: Document>(&mut self, id: impl Into<Id<T>>) -> Result<Option<Doc<T>>> {
        let id = id.into();
        self.check_id("db.get", id)?;
        let found = self.get_stored(id.document_id()).await?;
        found
            .map(|document| Doc::<T>::decode(&document))
            .transpose()
    }

    /// The document with this id, system fields included, whatever its table.
    ///
    /// # Errors
    /// When the id is one of the system's tables, or a limit of reading is passed.
    pub async fn get_object(&mut self, id: DocumentId) -> Result<Option<Object>> {
        let found = self.get_stored(id).await?;
        found.map(|document| Object::decode(&document)).transpose()
    }

    /// A query over a range of an index, e.g. `ctx.db.query(Job::BY_JOB_ID.eq("…"))`.
    ///
    /// Nothing is read before one of the query's reading methods is awaited.
    pub fn query<'f, T: Document>(&mut self, range: impl IntoRange<T>) -> Query<'_, 'f, Doc<T>> {
        Query::new(&mut self.slot, Scope::Application, range.into_range())
    }

    /// As [`DatabaseReader::query`], with the documents as objects: for tools that do not know the table's type.
    pub fn query_objects<'f>(&mut self, range: RangeSpec) -> Query<'_, 'f, Object> {
        Query::new(&mut self.slot, Scope::Application, range)
    }

    /// The id that `text` spells, if it is one of `T`'s table; the document need not exist.
    pub fn normalize_id<T: Document>(&self, text: &str) -> Option<Id<T>> {
        let id: DocumentId = text.parse().ok()?;
        let table = self.slot.lock().ok()?.env().tables.number(T::TABLE)?;
        (id.table == table).then(|| Id::new(id))
    }

    pub(crate) async fn get_stored(
        &mut self,
        id: DocumentId,
    ) -> Result<Option<Arc<StoredDocument>>> {
        if id.table < TableNumber::FIRST_USER {
            return Err(Error::new(
                Code::InvalidId,
                format!(
                    "db.get: \"{id}\" is an id of one of the system's tables; use db.system.get"
                ),
            ));
        }
        let found = self.transaction()?.get(id).await;
        found.map_err(|error| error.in_context("db.get"))
    }

    /// Checks that an id is one of `T`'s table.
    pub(crate) fn check_id<T: Document>(&self, call: &str, id: Id<T>) -> Result<()> {
        let transaction = self.transaction()?;
        transaction
            .env()
            .tables
            .check_id(call, id.document_id(), T::TABLE)
    }
}

// For the runtime, which owns the contexts.
#[doc(hidden)]
impl DatabaseReader {
    /// Returns a reader that shares the transaction in a cell.
    pub fn on(slot: TransactionCell) -> DatabaseReader {
        DatabaseReader {
            system: SystemReader::new(slot.clone()),
            slot,
        }
    }

    /// Returns the transaction, held until the guard is dropped.
    pub fn transaction(&self) -> Result<TransactionGuard> {
        self.slot.lock()
    }

    /// Returns the transaction's cell, for the context's other fields and nested calls.
    pub fn slot(&self) -> &TransactionCell {
        &self.slot
    }
}

impl<D: Decode> Pages<'_, D> {
    /// Returns the next page: up to the page size of documents read, without those filtered out; `None` after the last.
    ///
    /// # Errors
    /// When a limit of reading is passed.
    pub async fn next(&mut self, db: &mut DatabaseReader) -> Result<Option<Vec<D>>> {
        self.read(&mut *db.transaction()?).await
    }
}
