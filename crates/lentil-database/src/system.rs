use lentil_call::Result;
use lentil_schema::{Doc, Document, Id, IntoRange};

use crate::TransactionCell;
use crate::decode::Decode;
use crate::query::{Query, Scope};

/// A document of one of the system's tables that functions may read.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is in none of the system's tables",
    note = "the application's own documents are read with `ctx.db.get` and `ctx.db.query`"
)]
pub trait SystemDocument: Document {}

/// The system's tables, `ctx.db.system`: what functions may read there, and nobody writes.
pub struct SystemReader {
    slot: TransactionCell,
}

impl SystemReader {
    pub(crate) fn new(slot: TransactionCell) -> SystemReader {
        SystemReader { slot }
    }

    /// The document with this id, or `None` when it does not exist (any more).
    ///
    /// # Errors
    /// When the id is not of this table, or a limit of reading is passed.
    pub async fn get<T: SystemDocument>(&mut self, id: impl Into<Id<T>>) -> Result<Option<Doc<T>>> {
        let mut transaction = self.slot.lock()?;
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

    /// A query over a range of an index, e.g. `ctx.db.system.query(StoredFile::all())`.
    pub fn query<'f, T: SystemDocument>(
        &mut self,
        range: impl IntoRange<T>,
    ) -> Query<'_, 'f, Doc<T>> {
        Query::new(&mut self.slot, Scope::System, range.into_range())
    }
}
