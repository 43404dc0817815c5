//! Reading a stretch of an index.

use lentil_store::{Catalog, IndexRef, Order, Row, StoreError};
use lentil_values::{IndexKey, InternalId, Interval, TableNumber};
use rusqlite::{Connection, params};

use crate::error::store_error;
use crate::{rows, time_index};

/// What is read where it is asked for; more than that is read on a thread that may wait.
const INLINE: Budget = Budget { rows: 128, bytes: 256 << 10 };

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
    pub(crate) fn begin(self, conn: &Connection, catalog: &Catalog) -> Result<Scanned, StoreError> {
        let (rows, is_cut) = self.read(conn, catalog, INLINE)?;
        let rest = if is_cut { self.after(&rows) } else { None };
        Ok(Scanned { rows, rest })
    }

    /// Reads all of it.
    pub(crate) fn finish(&self, conn: &Connection, catalog: &Catalog) -> Result<Vec<Row>, StoreError> {
        Ok(self.read(conn, catalog, Budget { rows: usize::MAX, bytes: usize::MAX })?.0)
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
    fn read(&self, conn: &Connection, catalog: &Catalog, budget: Budget) -> Result<(Vec<Row>, bool), StoreError> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        let Some(range) = self.range(catalog).filter(|range| !range.keys.is_empty() && self.limit > 0) else {
            return Ok((found, false));
        };
        let mut statement = conn.prepare_cached(&range.sql(self.order)).map_err(store_error)?;
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let mut rows = match &range.keys.end {
            Some(end) => statement.query(params![range.of, limit, range.keys.start, end]),
            None => statement.query(params![range.of, limit, range.keys.start]),
        }
        .map_err(store_error)?;
        while let Some(row) = rows.next().map_err(store_error)? {
            let bytes_of = |column| row.get_ref(column).map_err(store_error);
            let key = bytes_of(0)?.as_blob().ok().and_then(range.key);
            let key = key.ok_or_else(|| StoreError::Corrupt("a key in the file is malformed".to_owned()))?;
            let json = bytes_of(1)?.as_str().map_err(|error| StoreError::Corrupt(error.to_string()))?;
            bytes += json.len();
            found.push(Row { key, document: rows::decode(json)? });
            if found.len() < self.limit && (found.len() >= budget.rows || bytes >= budget.bytes) {
                return Ok((found, true));
            }
        }
        Ok((found, false))
    }

    /// Where the file has the index; `None` when the index is gone.
    fn range(&self, catalog: &Catalog) -> Option<Range> {
        let keys = self.interval.clone();
        Some(match self.index {
            IndexRef::ById(table) => {
                Range { key: |id| Some(IndexKey::from_bytes(id.to_vec())), ..documents_of(table, keys) }
            }
            IndexRef::ByCreationTime(table) => documents_of(table, time_index::ids(&keys)),
            IndexRef::Declared(index) => {
                let (_, table, _) = catalog.find_index(index)?;
                let key = |key: &[u8]| Some(IndexKey::from_bytes(key.to_vec()));
                Range { column: "entry.key", select: entries_of(table.number), of: index.0, keys, key }
            }
        })
    }
}

/// A stretch of a table of the file that holds an index.
struct Range {
    column: &'static str,
    select: String,
    /// The number of the table or the index.
    of: u32,
    keys: Interval,
    key: fn(&[u8]) -> Option<IndexKey>,
}

impl Range {
    /// `?2` is the limit, `?3` the interval's start and `?4` its end, if it has one.
    fn sql(&self, order: Order) -> String {
        let Range { column, select, .. } = self;
        let end = if self.keys.end.is_some() { format!(" AND {column} < ?4") } else { String::new() };
        let direction = if order == Order::Asc { "ASC" } else { "DESC" };
        format!("{select} AND {column} >= ?3{end} ORDER BY {column} {direction} LIMIT ?2")
    }
}

/// A table's documents, in the order of their ids, which is that of their creation times.
fn documents_of(table: TableNumber, ids: Interval) -> Range {
    let select = "SELECT id, json FROM _documents WHERE table_number = ?1".to_owned();
    let key = |id: &[u8]| Some(time_index::key(InternalId(id.try_into().ok()?)));
    Range { column: "id", select, of: table.get(), keys: ids, key }
}

/// The entries of an index with their documents.
fn entries_of(table: TableNumber) -> String {
    // CROSS JOIN keeps the entries the outer loop: their order is the result's.
    format!(
        "SELECT entry.key, document.json FROM _index_entries AS entry CROSS JOIN _documents AS document
         ON document.table_number = {table} AND document.id = substr(entry.key, -16) WHERE entry.index_id = ?1"
    )
}
