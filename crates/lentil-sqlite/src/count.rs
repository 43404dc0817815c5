//! Counting a stretch of an index, without the documents.

use lentil_store::{IndexRef, StoreError};
use lentil_values::Interval;
use rusqlite::{Connection, params};

use crate::entries::Entries;
use crate::error::store_error;

/// How many entries are counted where it is asked for; more than that are counted on a thread that may wait.
const INLINE: usize = 1_024;

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
        let counted = self.up_to(conn, self.limit.min(INLINE))?;
        Ok((counted < INLINE || counted == self.limit).then_some(counted))
    }

    /// Counts all of it.
    pub(crate) fn finish(&self, conn: &Connection) -> Result<usize, StoreError> {
        self.up_to(conn, self.limit)
    }

    fn up_to(&self, conn: &Connection, limit: usize) -> Result<usize, StoreError> {
        let Entries { index_id, keys } = Entries::of(self.index, &self.interval);
        if keys.is_empty() {
            return Ok(0);
        }
        let sql = match keys.end {
            Some(_) => {
                "SELECT count(*) FROM (SELECT 1 FROM _index_entries WHERE index_id = ?1 AND key >= ?3 AND key < ?4 LIMIT ?2)"
            }
            None => "SELECT count(*) FROM (SELECT 1 FROM _index_entries WHERE index_id = ?1 AND key >= ?3 LIMIT ?2)",
        };
        let mut statement = conn.prepare_cached(sql).map_err(store_error)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let counted = match &keys.end {
            Some(end) => statement.query_row(params![index_id, limit, keys.start, end], |row| row.get::<_, i64>(0)),
            None => statement.query_row(params![index_id, limit, keys.start], |row| row.get(0)),
        };
        counted.map(|counted| counted as usize).map_err(store_error)
    }
}
