use std::sync::Arc;

use lentil_database::OpenTable;
use lentil_store::{IndexRef, Order, Row, StoredDocument};
use lentil_values::{DocumentId, FieldName, Interval, KeyWriter, Object, TableNumber, Value};

use crate::database::Transaction;
use crate::{Error, Result};

/// One of the system's tables, to be read and written within a transaction.
pub(crate) struct SystemTable<'a> {
    transaction: &'a mut Transaction,
    table: Arc<OpenTable>,
}

impl<'a> SystemTable<'a> {
    pub(crate) fn open(transaction: &'a mut Transaction, name: &str) -> SystemTable<'a> {
        let table = Arc::clone(transaction.env().tables.system(name));
        SystemTable { transaction, table }
    }

    pub(crate) fn number(&self) -> TableNumber {
        self.table.number()
    }

    /// The first `limit` documents whose index keys begin with these values.
    pub(crate) async fn find(
        &mut self,
        index: &str,
        values: &[Value],
        limit: usize,
    ) -> Result<Vec<Row>> {
        let interval = Interval::prefix(key_of(values).as_bytes());
        self.transaction
            .scan(self.index(index), &interval, Order::Asc, limit)
            .await
    }

    /// As [`SystemTable::find`], of the documents whose keys come after one, without counting them against the
    /// limits of functions. Damaged documents are skipped.
    pub(crate) async fn find_uncounted(
        &mut self,
        index: &str,
        values: &[Value],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>> {
        let mut interval = Interval::prefix(key_of(values).as_bytes());
        if let Some(after) = after {
            interval.start = [after, &[0]].concat();
        }
        self.fetch(index, interval, limit).await
    }

    /// The first `limit` documents whose index keys begin with a value from `from` to before `to`, without
    /// counting them against limits.
    pub(crate) async fn between(
        &mut self,
        index: &str,
        from: &Value,
        to: &Value,
        limit: usize,
    ) -> Result<Vec<Row>> {
        let key = |value| key_of(std::slice::from_ref(value)).as_bytes().to_vec();
        let interval = Interval {
            start: key(from),
            end: Some(key(to)),
        };
        self.fetch(index, interval, limit).await
    }

    async fn fetch(
        &mut self,
        index: &str,
        mut interval: Interval,
        limit: usize,
    ) -> Result<Vec<Row>> {
        let index = self.index(index);
        let rows = self.fetch_readable(index, interval.clone(), limit).await?;
        let transaction = &mut *self.transaction;
        if let Some(last) = rows.last().filter(|_| rows.len() == limit) {
            interval.end = Some([last.key.as_bytes(), &[0]].concat());
        }
        transaction.record_interval(index, interval);
        Ok(rows)
    }

    /// Reads up to `limit` rows, and skips damaged documents, so that the system continues to work on the others.
    async fn fetch_readable(
        &mut self,
        index: IndexRef,
        mut rest: Interval,
        limit: usize,
    ) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        loop {
            let (transaction, left) = (&mut *self.transaction, limit - rows.len());
            let fetched = transaction.fetch(index, &rest, Order::Asc, left).await;
            let error = match fetched {
                Ok(last) => {
                    rows.extend(last);
                    return Ok(rows);
                }
                Err(error) => error,
            };
            let damaged = error.damaged_document();
            let Some(entries) = damaged.and_then(|damaged| damaged.entries.clone()) else {
                return Err(error);
            };
            damaged
                .into_iter()
                .for_each(|damaged| transaction.env().skipped_documents.log(damaged));
            let before = Interval {
                start: rest.start,
                end: Some(entries.start),
            };
            rows.extend(transaction.fetch(index, &before, Order::Asc, left).await?);
            match entries.end {
                Some(end) => rest.start = end,
                None => return Ok(rows),
            }
        }
    }

    /// The first `limit` documents, the oldest first, without counting them against limits.
    pub(crate) async fn oldest(&mut self, limit: usize) -> Result<Vec<Row>> {
        self.fetch("by_creation_time", Interval::all(), limit).await
    }

    pub(crate) fn insert<const N: usize>(
        &mut self,
        fields: [(&'static str, Value); N],
    ) -> Result<DocumentId> {
        let now_ms = self.transaction.now_ms;
        let (id, creation_time) = self.transaction.env().new_id(self.number(), now_ms);
        let fields: Object = fields
            .into_iter()
            .map(|(name, value)| (FieldName::from_static(name), value))
            .collect();
        self.put(
            None,
            StoredDocument {
                id,
                creation_time,
                fields,
            },
        )?;
        Ok(id)
    }

    pub(crate) fn put(
        &mut self,
        old: Option<Arc<StoredDocument>>,
        new: StoredDocument,
    ) -> Result<()> {
        let checked = self
            .table
            .table
            .validate(&new.fields, &self.transaction.env().tables);
        checked.map_err(|error| Error::msg(format!("table \"{}\": {error}", self.table.name())))?;
        self.transaction.buffer().put(old, Some(Arc::new(new)));
        Ok(())
    }

    pub(crate) fn delete(&mut self, old: Arc<StoredDocument>) {
        self.transaction.buffer().put(Some(old), None);
    }

    fn index(&self, name: &str) -> IndexRef {
        self.table
            .index(name)
            .expect("the system's tables have the indexes that it names")
    }
}

/// Returns the key of these values; for the first values of an index, the prefix of its keys.
fn key_of(values: &[Value]) -> KeyWriter {
    let mut key = KeyWriter::new();
    values.iter().for_each(|value| key.push(Some(value)));
    key
}
