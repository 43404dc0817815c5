//! Reading a stretch of an index.

use lentil_store::{IndexRef, Order, Row, StoreError};
use lentil_values::Interval;
use rusqlite::{Connection, params};

use crate::entries::{self, Entries};
use crate::error::store_error;
use crate::rows;

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
    pub(crate) fn begin(self, conn: &Connection) -> Result<Scanned, StoreError> {
        let (rows, is_cut) = self.read(conn, INLINE)?;
        let rest = if is_cut { self.after(&rows) } else { None };
        Ok(Scanned { rows, rest })
    }

    /// Reads all of it.
    pub(crate) fn finish(&self, conn: &Connection) -> Result<Vec<Row>, StoreError> {
        Ok(self.read(conn, Budget { rows: usize::MAX, bytes: usize::MAX })?.0)
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
        let (mut found, mut bytes) = (Vec::new(), 0);
        let Entries { index_id, keys } = Entries::of(self.index, &self.interval);
        if keys.is_empty() || self.limit == 0 {
            return Ok((found, false));
        }
        let mut statement = conn.prepare_cached(sql(self.order, keys.end.is_some())).map_err(store_error)?;
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let mut rows = match &keys.end {
            Some(end) => statement.query(params![index_id, limit, keys.start, end]),
            None => statement.query(params![index_id, limit, keys.start]),
        }
        .map_err(store_error)?;
        while let Some(row) = rows.next().map_err(store_error)? {
            let bytes_of = |column| row.get_ref(column).map_err(store_error);
            let key = bytes_of(0)?.as_blob().ok().and_then(|key| entries::key(self.index, key));
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
}

/// Keys with their documents: `?1` is the index, `?2` the limit, `?3` the interval's start and `?4` its end.
fn sql(order: Order, has_end: bool) -> &'static str {
    macro_rules! sql {
        ($end:literal, $order:literal) => {
            // CROSS JOIN keeps the entries the outer loop: their order is the result's.
            concat!(
                "SELECT key, json FROM _index_entries CROSS JOIN _documents ON number = document ",
                "WHERE index_id = ?1 AND key >= ?3",
                $end,
                " ORDER BY key ",
                $order,
                " LIMIT ?2"
            )
        };
    }
    match (order, has_end) {
        (Order::Asc, false) => sql!("", "ASC"),
        (Order::Asc, true) => sql!(" AND key < ?4", "ASC"),
        (Order::Desc, false) => sql!("", "DESC"),
        (Order::Desc, true) => sql!(" AND key < ?4", "DESC"),
    }
}
