use std::sync::Arc;

use lentil_call::{Code, Error, Result};
use lentil_schema::{Doc, Document, Id, IntoRange, RangeSpec};
use lentil_store::StoredDocument;
use lentil_values::{DocumentId, Object, TableNames, TableNumber};

use crate::cell::{TransactionCell, TransactionGuard};
use crate::decode::Decode;
use crate::pages::Pages;
use crate::query::{Query, Scope};
use crate::system::SystemReader;

/// The database of a query, `ctx.db`. It contains the commits before the query began.
///
/// In a mutation it also contains the writes of the mutation.
pub struct DatabaseReader {
    /// The tables of the system that functions may read.
    pub system: SystemReader,
    cell: TransactionCell,
}

impl DatabaseReader {
    /// Returns the document with this id, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`Code::InvalidId`] when the id belongs to another table. Also when a read limit is
    /// exceeded, or the stored document does not decode as `T`.
    pub async fn get<T: Document>(&mut self, id: impl Into<Id<T>>) -> Result<Option<Doc<T>>> {
        let id = id.into();
        self.check_id("db.get", id)?;
        let found = self.get_stored(id.document_id()).await?;
        found
            .map(|document| Doc::<T>::decode(&document))
            .transpose()
    }

    /// Returns the document with this id of any table, with its system fields.
    ///
    /// # Errors
    /// When the id belongs to a system table, or a read limit is exceeded.
    pub async fn get_object(&mut self, id: DocumentId) -> Result<Option<Object>> {
        let found = self.get_stored(id).await?;
        found.map(|document| Object::decode(&document)).transpose()
    }

    /// Returns a query over a range of an index, e.g. `ctx.db.query(Job::BY_JOB_ID.eq("…"))`.
    ///
    /// The query reads nothing until one of its reading methods is awaited.
    pub fn query<'f, T: Document>(&mut self, range: impl IntoRange<T>) -> Query<'_, 'f, Doc<T>> {
        Query::new(&mut self.cell, Scope::Application, range.into_range())
    }

    /// As [`DatabaseReader::query`], with documents as objects, for tools that do not know the type
    /// of the table.
    pub fn query_objects<'f>(&mut self, range: RangeSpec) -> Query<'_, 'f, Object> {
        Query::new(&mut self.cell, Scope::Application, range)
    }

    /// Parses an id of the table of `T`; `None` if it is not one. The document need not exist.
    pub fn normalize_id<T: Document>(&self, text: &str) -> Option<Id<T>> {
        let id: DocumentId = text.parse().ok()?;
        let table = self.cell.borrow().ok()?.env().tables.number(T::TABLE)?;
        (id.table == table).then(|| Id::new(id))
    }

    pub(crate) async fn get_stored(
        &mut self,
        id: DocumentId,
    ) -> Result<Option<Arc<StoredDocument>>> {
        // An untyped id may name any table, and functions may read only some of the system's.
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

    /// Checks that an id belongs to the table of `T`.
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
    pub fn on(cell: TransactionCell) -> DatabaseReader {
        DatabaseReader {
            system: SystemReader::new(cell.clone()),
            cell,
        }
    }

    /// Borrows the transaction until the guard is dropped.
    pub fn transaction(&self) -> Result<TransactionGuard> {
        self.cell.borrow()
    }

    /// Returns the transaction's cell, for the context's other fields and nested calls.
    pub fn cell(&self) -> &TransactionCell {
        &self.cell
    }
}

impl<D: Decode> Pages<'_, D> {
    /// Returns the next page, or `None` after the last. The page size limits the documents that are
    /// read; the filters then drop some of them.
    ///
    /// # Errors
    /// When a read limit is exceeded.
    pub async fn next(&mut self, db: &mut DatabaseReader) -> Result<Option<Vec<D>>> {
        self.read(&mut *db.transaction()?).await
    }
}
