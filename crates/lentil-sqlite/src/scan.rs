//! Reading a stretch of an index.

use lentil_store::{IndexId, IndexRef, Order, Row, StoreError};
use lentil_values::{DocumentId, IndexKey, InternalId, Interval, TableNumber};
use rusqlite::{Connection, params};

use crate::documents::{self, Documents, Tree};
use crate::error::store_error;
use crate::numbers::{id_key, numbers, time_key};

/// What is read where it is asked for; more than that is read on a thread that may wait.
const INLINE: Budget = Budget {
    rows: 128,
    bytes: 256 << 10,
};

/// The first `limit` entries of an index in an interval.
#[derive(Clone)]
pub(crate) struct Scan {
    pub(crate) index: IndexRef,
    pub(crate) interval: Interval,
    pub(crate) order: Order,
    pub(crate) limit: usize,
}

/// The beginning of a scan, and what is left of it.
pub(crate) struct Scanned {
    pub(crate) rows: Vec<Row>,
    pub(crate) rest: Option<Scan>,
}

/// How much a scan reads at most before it pauses.
#[derive(Clone, Copy)]
struct Budget {
    rows: usize,
    bytes: usize,
}

impl Scan {
    /// Reads as much as takes no longer than a change of threads.
    pub(crate) fn begin(self, conn: &Connection) -> Result<Scanned, StoreError> {
        let (rows, is_cut) = self.read(conn, INLINE)?;
        let rest = if is_cut { self.after(&rows) } else { None };
        Ok(Scanned { rows, rest })
    }

    /// Reads all of it.
    pub(crate) fn finish(&self, conn: &Connection) -> Result<Vec<Row>, StoreError> {
        Ok(self
            .read(
                conn,
                Budget {
                    rows: usize::MAX,
                    bytes: usize::MAX,
                },
            )?
            .0)
    }

    /// What is left after these rows.
    fn after(mut self, rows: &[Row]) -> Option<Scan> {
        let last = rows.last()?.key.as_bytes();
        self.limit -= rows.len();
        match self.order {
            Order::Asc => self.interval.start = [last, &[0]].concat(),
            Order::Desc => self.interval.end = Some(last.to_vec()),
        }
        Some(self)
    }

    /// The rows, and whether the budget cut them short.
    fn read(&self, conn: &Connection, budget: Budget) -> Result<(Vec<Row>, bool), StoreError> {
        let mut found = Found {
            rows: Vec::new(),
            bytes: 0,
            limit: self.limit,
            budget,
        };
        if self.limit > 0 && !self.interval.is_empty() {
            match self.index {
                IndexRef::Declared(table, index) => {
                    self.read_entries(conn, table, index, &mut found)?
                }
                IndexRef::ById(_) => self.read_documents(conn, id_key, &mut found)?,
                IndexRef::ByCreationTime(_) => self.read_documents(conn, time_key, &mut found)?,
            }
        }
        let is_cut = found.rows.len() < self.limit && found.is_full();
        Ok((found.rows, is_cut))
    }

    /// Reads the entries, and with each the document it leads to.
    fn read_entries(
        &self,
        conn: &Connection,
        table: TableNumber,
        index: IndexId,
        found: &mut Found,
    ) -> Result<(), StoreError> {
        let corrupt = || StoreError::Corrupt("an index entry leads to no document".to_owned());
        let mut documents = None;
        let Interval { start, end } = &self.interval;
        let mut entries = conn
            .prepare_cached(entries_sql(self.order, end.is_some()))
            .map_err(store_error)?;
        let mut entries = match end {
            Some(end) => entries.query(params![index.0, start, end]),
            None => entries.query(params![index.0, start]),
        }
        .map_err(store_error)?;
        while !found.is_full()
            && let Some(entry) = entries.next().map_err(store_error)?
        {
            let key = entry
                .get_ref(0)
                .map_err(store_error)?
                .as_blob()
                .map_err(|_| corrupt())?;
            let key = IndexKey::from_bytes(key.to_vec());
            let internal = key.id().ok_or_else(corrupt)?;
            let documents = match &mut documents {
                Some(documents) => documents,
                None => documents.insert(Documents::of(conn, table)?.ok_or_else(corrupt)?),
            };
            let document = documents
                .get(DocumentId { table, internal })?
                .ok_or_else(corrupt)?;
            found.push(key, document);
        }
        Ok(())
    }

    /// Reads the documents, each with the key that it has in the index.
    fn read_documents(
        &self,
        conn: &Connection,
        key: fn(InternalId) -> IndexKey,
        found: &mut Found,
    ) -> Result<(), StoreError> {
        let (table, numbers) = (
            self.index.table(),
            numbers(conn, self.index, &self.interval)?,
        );
        let order = match self.order {
            Order::Asc => "ASC",
            Order::Desc => "DESC",
        };
        let sql = format!(
            "SELECT json FROM {} WHERE number BETWEEN ?1 AND ?2 ORDER BY number {order}",
            Tree(table)
        );
        let Some(mut documents) = documents::prepare(conn, table, &sql)? else {
            return Ok(());
        };
        let mut rows = documents
            .query([numbers.start(), numbers.end()])
            .map_err(store_error)?;
        while !found.is_full()
            && let Some(row) = rows.next().map_err(store_error)?
        {
            let document = documents::read(row, 0)?;
            found.push(key(document.document.id.internal), document);
        }
        Ok(())
    }
}

/// What a scan has found so far.
struct Found {
    rows: Vec<Row>,
    bytes: usize,
    limit: usize,
    budget: Budget,
}

impl Found {
    fn push(&mut self, key: IndexKey, found: documents::Found) {
        self.bytes += found.bytes;
        self.rows.push(Row {
            key,
            document: found.document,
        });
    }

    /// Whether these are all that are wanted, or as many as the budget is for.
    fn is_full(&self) -> bool {
        self.rows.len() >= self.limit.min(self.budget.rows) || self.bytes >= self.budget.bytes
    }
}

/// The keys of an index: `?1` is the index, `?2` the interval's start and `?3` its end.
fn entries_sql(order: Order, has_end: bool) -> &'static str {
    match (order, has_end) {
        (Order::Asc, false) => {
            "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 ORDER BY key"
        }
        (Order::Asc, true) => {
            "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 AND key < ?3 ORDER BY key"
        }
        (Order::Desc, false) => {
            "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 ORDER BY key DESC"
        }
        (Order::Desc, true) => {
            "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 AND key < ?3 ORDER BY key DESC"
        }
    }
}
