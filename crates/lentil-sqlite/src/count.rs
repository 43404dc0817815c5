//! Counting a stretch of an index, without the documents.

use lentil_store::{IndexRef, StoreError};
use lentil_values::Interval;
use rusqlite::{Connection, params};

use crate::error::store_error;
use crate::time_index;

/// How many entries are counted where it is asked for; more than that are counted on a thread that may wait.
const INLINE_ENTRIES: usize = 1_024;
/// The same for the system indexes, which are the documents themselves.
const INLINE_DOCUMENTS: usize = 128;

/// How many entries an index has in an interval, counted no further than `limit`.
#[derive(Clone)]
pub(crate) struct Count {
    pub(crate) index: IndexRef,
    pub(crate) interval: Interval,
    pub(crate) limit: usize,
}

impl Count {
    /// Counts as far as takes no longer than a change of threads; `None` when there may be more.
    pub(crate) fn begin(&self, conn: &Connection) -> Result<Option<usize>, StoreError> {
        let inline = match self.index {
            IndexRef::Declared(_) => INLINE_ENTRIES,
            _ => INLINE_DOCUMENTS,
        };
        let counted = self.up_to(conn, self.limit.min(inline))?;
        Ok((counted < inline || counted == self.limit).then_some(counted))
    }

    /// Counts all of it.
    pub(crate) fn finish(&self, conn: &Connection) -> Result<usize, StoreError> {
        self.up_to(conn, self.limit)
    }

    fn up_to(&self, conn: &Connection, limit: usize) -> Result<usize, StoreError> {
        let (of, number, column, keys) = match self.index {
            IndexRef::Declared(index) => ("_index_entries WHERE index_id", index.0, "key", self.interval.clone()),
            IndexRef::ById(table) => ("_documents WHERE table_number", table.get(), "id", self.interval.clone()),
            IndexRef::ByCreationTime(table) => {
                ("_documents WHERE table_number", table.get(), "id", time_index::ids(&self.interval))
            }
        };
        if keys.is_empty() {
            return Ok(0);
        }
        let end = if keys.end.is_some() { format!(" AND {column} < ?4") } else { String::new() };
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {of} = ?1 AND {column} >= ?3{end} LIMIT ?2)");
        let mut statement = conn.prepare_cached(&sql).map_err(store_error)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let counted = match &keys.end {
            Some(end) => statement.query_row(params![number, limit, keys.start, end], |row| row.get::<_, i64>(0)),
            None => statement.query_row(params![number, limit, keys.start], |row| row.get(0)),
        };
        counted.map(|counted| counted as usize).map_err(store_error)
    }
}
