use std::marker::PhantomData;
use std::sync::Arc;

use lentil_call::{Error, Result};
use lentil_schema::{Doc, Document, Id, IntoRange, Patch};
use lentil_store::{IndexRef, Order, Row, StoredDocument};
use lentil_values::{DocumentId, Interval, successor};

use crate::cell::{TransactionCell, TransactionGuard};
use crate::decode::Decode;
use crate::reader::DatabaseReader;
use crate::tables::OpenTable;

/// One of the system's tables within a transaction, which the handle holds until it is dropped.
///
/// `get`, `first` and `take` read on behalf of a function: they count against its limits, and a
/// document that cannot be read is an error. `get_uncounted`, `scan` and the writes are the
/// engine's own.
pub struct SystemTable<T> {
    transaction: TransactionGuard,
    table: Arc<OpenTable>,
    document: PhantomData<fn() -> T>,
}

/// Documents that [`SystemTable::scan_after`] has read.
pub struct Scanned<T> {
    /// The documents, in the index's order.
    pub documents: Vec<Doc<T>>,
    /// The index key at which the next scan continues; `None` at the end of the range.
    pub next: Option<Vec<u8>>,
}

impl<T: Document> SystemTable<T> {
    /// Opens the table in the transaction of a context.
    ///
    /// # Errors
    /// [`lentil_call::Code::Abandoned`] after a nested call was dropped before it finished.
    pub fn of(db: &DatabaseReader) -> Result<SystemTable<T>> {
        SystemTable::open(db.cell())
    }

    /// As [`SystemTable::of`], in the transaction of this cell.
    ///
    /// # Errors
    /// As [`SystemTable::of`].
    pub fn open(cell: &TransactionCell) -> Result<SystemTable<T>> {
        let transaction = cell.borrow()?;
        let table = Arc::clone(transaction.env().tables.system(T::TABLE));
        Ok(SystemTable {
            transaction,
            table,
            document: PhantomData,
        })
    }

    /// Returns the time at which the transaction began, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> f64 {
        self.transaction.now_ms
    }

    /// Returns the document with this id, for the function's `call`.
    ///
    /// # Errors
    /// [`lentil_call::Code::InvalidId`] when the id is one of another table; when the store fails,
    /// a limit of reading is passed, or the document does not fit `T`.
    pub async fn get(&mut self, call: &str, id: DocumentId) -> Result<Option<Doc<T>>> {
        let tables = &self.transaction.env().tables;
        tables.check_id(call, id, T::TABLE)?;
        let found = self.transaction.get(id).await;
        let found = found.map_err(|error| error.in_context(call))?;
        found.map(|document| Doc::decode(&document)).transpose()
    }

    /// Returns the first document in a range.
    ///
    /// # Errors
    /// When the store fails, a limit of reading is passed, or the document does not fit `T`.
    pub async fn first(&mut self, range: impl IntoRange<T>) -> Result<Option<Doc<T>>> {
        Ok(self.take(range, 1).await?.pop())
    }

    /// Returns the first `limit` documents in a range.
    ///
    /// # Errors
    /// As [`SystemTable::first`].
    pub async fn take(&mut self, range: impl IntoRange<T>, limit: usize) -> Result<Vec<Doc<T>>> {
        let range = range.into_range();
        let index = self.index(&range.index);
        let rows = self
            .transaction
            .scan(index, &range.interval(), Order::Asc, limit)
            .await?;
        rows.iter().map(|row| Doc::decode(&row.document)).collect()
    }

    /// Returns the first `limit` documents in a range that can be read.
    ///
    /// Documents that are damaged or do not fit `T` are logged and skipped, so that the others are
    /// still served.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn scan(&mut self, range: impl IntoRange<T>, limit: usize) -> Result<Vec<Doc<T>>> {
        Ok(self.scan_after(range, None, limit).await?.documents)
    }

    /// As [`SystemTable::scan`], from the index key on at which another scan ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn scan_after(
        &mut self,
        range: impl IntoRange<T>,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Scanned<T>> {
        let range = range.into_range();
        let index = self.index(&range.index);
        let mut interval = range.interval();
        if let Some(after) = after {
            interval.start = after;
        }
        let mut rest = interval.clone();
        let mut documents = Vec::new();
        let next = loop {
            // Documents that do not decode are skipped, so that another fetch may be necessary.
            let wanted = limit - documents.len();
            let rows = self.fetch_undamaged(index, rest.clone(), wanted).await?;
            for row in &rows {
                match Doc::decode(&row.document) {
                    Ok(document) => documents.push(document),
                    Err(error) => self.log_skipped(error.message()),
                }
            }
            let Some(last) = rows.last().filter(|_| rows.len() == wanted) else {
                break None;
            };
            rest.start = successor(last.key.as_bytes());
            if documents.len() == limit {
                interval.end = Some(rest.start.clone());
                break Some(rest.start);
            }
        };
        // One interval, which includes the skipped documents: a repair of one changes the result.
        self.transaction.record_interval(index, interval);
        Ok(Scanned { documents, next })
    }

    /// Fetches up to `limit` rows, and skips damaged ones.
    async fn fetch_undamaged(
        &mut self,
        index: IndexRef,
        mut rest: Interval,
        limit: usize,
    ) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        loop {
            let wanted = limit - rows.len();
            let error = match self.fetch(index, &rest, wanted).await {
                Ok(last) => {
                    rows.extend(last);
                    return Ok(rows);
                }
                Err(error) => error,
            };
            let Some(damaged) = error.damaged_document() else {
                return Err(error);
            };
            // The store does not know which entries to skip.
            let Some(entries) = damaged.entries.clone() else {
                return Err(error);
            };
            self.log_skipped(&damaged.to_string());
            // The failed fetch returned no rows, so the rows before the damage are fetched again.
            let before = Interval {
                start: rest.start,
                end: Some(entries.start),
            };
            rows.extend(self.fetch(index, &before, wanted).await?);
            match entries.end {
                Some(end) if rows.len() < limit => rest.start = end,
                _ => return Ok(rows),
            }
        }
    }

    async fn fetch(&mut self, index: IndexRef, rows: &Interval, limit: usize) -> Result<Vec<Row>> {
        self.transaction.fetch(index, rows, Order::Asc, limit).await
    }

    fn log_skipped(&self, sentence: &str) {
        self.transaction.env().skipped_documents.log(sentence);
    }

    /// Returns the document with this id, without counting it against the function's limits.
    ///
    /// # Errors
    /// When the store fails, or the document does not fit `T`.
    pub async fn get_uncounted(&mut self, id: DocumentId) -> Result<Option<Doc<T>>> {
        let found = self.transaction.get_uncounted(id).await?;
        found.map(|document| Doc::decode(&document)).transpose()
    }

    /// Adds a document.
    ///
    /// # Errors
    /// When the document does not fit the table.
    pub fn insert(&mut self, document: T) -> Result<Id<T>> {
        let env = self.transaction.env();
        let (id, creation_time) = env.new_id(self.table.number(), self.transaction.now_ms);
        let new = StoredDocument {
            id,
            creation_time,
            fields: document.into_fields(),
        };
        self.put(None, new)?;
        Ok(Id::new(id))
    }

    /// Changes some fields of a document, if it exists.
    ///
    /// # Errors
    /// When the store fails, or the new document does not fit the table.
    pub async fn patch(&mut self, id: &Id<T>, patch: impl Into<Patch<T>>) -> Result<()> {
        let Some(old) = self.transaction.get_uncounted(id.document_id()).await? else {
            return Ok(());
        };
        let mut new = (*old).clone();
        for (name, value) in patch.into().changes {
            match value {
                Some(value) => new.fields.insert(name, value),
                None => new.fields.remove(name.as_str()),
            };
        }
        self.put(Some(old), new)
    }

    /// Deletes a document, if it exists.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&mut self, id: &Id<T>) -> Result<()> {
        if let Some(old) = self.transaction.get_uncounted(id.document_id()).await? {
            self.transaction.buffer().put(Some(old), None);
        }
        Ok(())
    }

    fn put(&mut self, old: Option<Arc<StoredDocument>>, new: StoredDocument) -> Result<()> {
        let tables = &self.transaction.env().tables;
        if let Err(error) = self.table.table.validate(&new.fields, tables) {
            let message = format!("document \"{}\" of table \"{}\": {error}", new.id, T::TABLE);
            return Err(Error::msg(message));
        }
        // Past `Transaction::write`: the engine's own writes do not count against the function's
        // limits.
        self.transaction.buffer().put(old, Some(Arc::new(new)));
        Ok(())
    }

    fn index(&self, name: &str) -> IndexRef {
        self.table
            .index(name)
            .expect("the system's tables have the indexes of their types")
    }
}
