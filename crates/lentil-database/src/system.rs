use lentil_call::Result;
use lentil_schema::{Doc, Document, Id, IntoRange};

use crate::cell::TransactionCell;
use crate::decode::Decode;
use crate::query::{Query, Scope};

/// A document of a system table that functions may read.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a document of a system table",
    note = "the application's own documents are read with `ctx.db.get` and `ctx.db.query`"
)]
pub trait SystemDocument: Document {}

/// The system tables that functions may read, `ctx.db.system`. Functions cannot write them.
pub struct SystemReader {
    cell: TransactionCell,
}

impl SystemReader {
    pub(crate) fn new(cell: TransactionCell) -> SystemReader {
        SystemReader { cell }
    }

    /// Returns the document with this id, or `None` if it does not exist.
    ///
    /// # Errors
    /// When the id belongs to another table, or a read limit is exceeded.
    pub async fn get<T: SystemDocument>(&mut self, id: impl Into<Id<T>>) -> Result<Option<Doc<T>>> {
        let mut transaction = self.cell.borrow()?;
        let id = id.into().document_id();
        transaction
            .env()
            .tables
            .check_id("db.system.get", id, T::TABLE)?;
        let found = transaction
            .get(id)
            .await
            .map_err(|error| error.in_context("db.system.get"))?;
        found
            .map(|document| Doc::<T>::decode(&document))
            .transpose()
    }

    /// Returns a query over a range of an index, e.g. `ctx.db.system.query(StoredFile::all())`.
    pub fn query<'f, T: SystemDocument>(
        &mut self,
        range: impl IntoRange<T>,
    ) -> Query<'_, 'f, Doc<T>> {
        Query::new(&mut self.cell, Scope::System, range.into_range())
    }
}
