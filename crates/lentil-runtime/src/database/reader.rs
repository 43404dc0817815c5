use std::sync::Arc;

use lentil_schema::{Doc, Document, Id, IntoRange, RangeSpec};
use lentil_store::StoredDocument;
use lentil_values::{DocumentId, Object, TableNames, TableNumber};

use super::decode::Decode;
use super::query::Query;
use super::transaction::Transaction;
use crate::{Code, Error, Result};

/// The database as a query sees it, `ctx.db`: everything committed when the query began, and nothing later.
///
/// In a mutation it also shows what the mutation has written so far.
pub struct DatabaseReader {
    transaction: Option<Box<Transaction>>,
}

impl DatabaseReader {
    pub(crate) fn over(transaction: Box<Transaction>) -> DatabaseReader {
        DatabaseReader { transaction: Some(transaction) }
    }

    /// The document with this id, or `None` when it does not exist (any more).
    ///
    /// # Errors
    /// When a limit of reading is passed, or the stored document does not decode as `T`.
    pub async fn get<T: Document>(&mut self, id: &Id<T>) -> Result<Option<Doc<T>>> {
        let found = self.get_stored(id.document_id()).await?;
        found.map(|document| Doc::<T>::decode(&document)).transpose()
    }

    /// The document with this id, system fields included, whatever its table.
    ///
    /// # Errors
    /// As [`DatabaseReader::get`].
    pub async fn get_object(&mut self, id: DocumentId) -> Result<Option<Object>> {
        let found = self.get_stored(id).await?;
        found.map(|document| Object::decode(&document)).transpose()
    }

    /// A query over a range of an index, e.g. `ctx.db.query(Job::BY_JOB_ID.eq("…"))`.
    ///
    /// Nothing is read before one of the query's reading methods is awaited.
    pub fn query<'f, T: Document>(&mut self, range: impl IntoRange<T>) -> Query<'_, 'f, Doc<T>> {
        Query::new(self, range.into_range())
    }

    /// As [`DatabaseReader::query`], with the documents as objects: for tools that do not know the table's type.
    pub fn query_objects<'f>(&mut self, range: RangeSpec) -> Query<'_, 'f, Object> {
        Query::new(self, range)
    }

    /// The id that `text` spells, if it is one of `T`'s table; the document need not exist.
    pub fn normalize_id<T: Document>(&self, text: &str) -> Option<Id<T>> {
        let id: DocumentId = text.parse().ok()?;
        let table = self.transaction.as_ref()?.runtime.tables().number(T::TABLE)?;
        (id.table == table).then(|| Id::new(id))
    }

    pub(crate) async fn get_stored(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>> {
        if id.table < TableNumber::FIRST_USER {
            return Err(Error::new(
                Code::InvalidId,
                format!("db.get: \"{id}\" is an id of one of the system's tables"),
            ));
        }
        let found = self.transaction()?.get(id).await;
        found.map_err(|error| error.in_context("db.get"))
    }

    pub(crate) fn transaction(&mut self) -> Result<&mut Transaction> {
        self.transaction.as_deref_mut().ok_or_else(abandoned)
    }

    /// Hands the transaction to a nested call.
    pub(crate) fn lend(&mut self) -> Result<Box<Transaction>> {
        self.transaction.take().ok_or_else(abandoned)
    }

    /// Takes it back; `None` when the nested call was dropped with it.
    pub(crate) fn restore(&mut self, transaction: Option<Box<Transaction>>) {
        self.transaction = transaction;
    }

    pub(crate) fn into_transaction(self) -> Option<Box<Transaction>> {
        self.transaction
    }
}

fn abandoned() -> Error {
    Error::new(Code::Abandoned, "a nested call was dropped before it finished; this transaction cannot go on")
}
