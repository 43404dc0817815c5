//! Counting a stretch of an index, without decoding documents.

use std::ops::RangeInclusive;

use lentil_store::{IndexRef, IndexState, StoreError};
use lentil_values::{Interval, TableNumber};
use rusqlite::{Connection, Row, params};

use crate::error::store_error;
use crate::tables::documents::{self, Tree};
use crate::tables::foreign::{self, index_number};
use crate::tables::format;
use crate::tables::rowid::numbers;

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
        match self.index {
            IndexRef::Declared(..) => self.up_to(conn, self.limit),
            _ if self.interval != Interval::all() => self.up_to(conn, self.limit),
            // Each document of the table has one entry in each of its indexes, and entries are smaller.
            _ => {
                let catalog = format::read_catalog(conn)?;
                let table = catalog.table_by_number(self.index.table());
                let mut indexes = table.iter().flat_map(|table| &table.indexes);
                let index = indexes.find(|index| index.state == IndexState::Ready);
                let index = index.map_or(self.index, |index| {
                    IndexRef::Declared(self.index.table(), index.id)
                });
                Count {
                    index,
                    interval: Interval::all(),
                    limit: self.limit,
                }
                .up_to(conn, self.limit)
            }
        }
    }

    fn up_to(&self, conn: &Connection, limit: usize) -> Result<usize, StoreError> {
        if self.interval.is_empty() {
            return Ok(0);
        }
        let entries = match self.index {
            IndexRef::Declared(..) => {
                return count_entries(conn, self.index, &self.interval, limit);
            }
            index => foreign::interval_of_entries(index, &self.interval),
        };
        let numbers = numbers(conn, self.index, &self.interval)?;
        let natives = count_natives(conn, self.index.table(), &numbers, limit)?;
        Ok(natives + count_entries(conn, self.index, &entries, limit - natives)?)
    }
}

fn count_entries(
    conn: &Connection,
    index: IndexRef,
    interval: &Interval,
    limit: usize,
) -> Result<usize, StoreError> {
    let (index, limit) = (index_number(index), sql_limit(limit));
    let sql = match interval.end {
        Some(_) => {
            "SELECT count(*) FROM (SELECT 1 FROM _index_entries WHERE index_id = ?1 AND key >= ?3 AND key < ?4 LIMIT ?2)"
        }
        None => {
            "SELECT count(*) FROM (SELECT 1 FROM _index_entries WHERE index_id = ?1 AND key >= ?3 LIMIT ?2)"
        }
    };
    let mut statement = conn.prepare_cached(sql).map_err(store_error)?;
    let counted = match &interval.end {
        Some(end) => statement.query_row(params![index, limit, interval.start, end], count),
        None => statement.query_row(params![index, limit, interval.start], count),
    };
    counted.map_err(store_error)
}

fn count_natives(
    conn: &Connection,
    table: TableNumber,
    numbers: &RangeInclusive<i64>,
    limit: usize,
) -> Result<usize, StoreError> {
    let tree = Tree(table);
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM {tree} WHERE number BETWEEN ?1 AND ?2 LIMIT ?3)"
    );
    let Some(mut statement) = documents::prepare(conn, table, &sql)? else {
        return Ok(0);
    };
    statement
        .query_row([*numbers.start(), *numbers.end(), sql_limit(limit)], count)
        .map_err(store_error)
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Reads the result of `count(*)`.
fn count(row: &Row<'_>) -> rusqlite::Result<usize> {
    row.get::<_, i64>(0).map(|count| count as usize)
}
