use std::ops::RangeInclusive;

use lentil_store::{IndexRef, IndexState, StoreError};
use lentil_values::{Interval, TableNumber};
use rusqlite::Connection;

use super::document_table::DocumentTable;
use super::rowid_range::rowid_range;
use super::{foreign, format, index_entries};
use crate::error::store_error;

/// The number of entries that are counted on the calling thread. More are counted on a blocking
/// thread.
const INLINE_LIMIT: usize = 1_024;

/// A count of the entries of an index in an interval, up to `limit`. It decodes no documents.
#[derive(Clone)]
pub(crate) struct Count {
    pub(crate) index: IndexRef,
    pub(crate) interval: Interval,
    pub(crate) limit: usize,
}

impl Count {
    /// Counts up to [`INLINE_LIMIT`] entries, which takes no longer than changing threads. Returns
    /// `None` if there may be more.
    pub(crate) fn begin(&self, conn: &Connection) -> Result<Option<usize>, StoreError> {
        let counted = self.count_up_to(conn, self.limit.min(INLINE_LIMIT))?;
        let is_complete = counted < INLINE_LIMIT || counted == self.limit;
        Ok(is_complete.then_some(counted))
    }

    /// Counts all entries.
    pub(crate) fn finish(&self, conn: &Connection) -> Result<usize, StoreError> {
        let is_declared = matches!(self.index, IndexRef::Declared(..));
        if is_declared || self.interval != Interval::all() {
            return self.count_up_to(conn, self.limit);
        }
        // Each document has one entry in each index of its table. Entries are smaller than
        // documents, so counting them reads less.
        let catalog = format::read_catalog(conn)?;
        let table = self.index.table();
        let declared = catalog.table_by_number(table).and_then(|entry| {
            let mut indexes = entry.indexes.iter();
            indexes.find(|index| index.state == IndexState::Ready)
        });
        let Some(declared) = declared else {
            return self.count_up_to(conn, self.limit);
        };
        let index = IndexRef::Declared(table, declared.id);
        count_entries(conn, index, &self.interval, self.limit)
    }

    fn count_up_to(&self, conn: &Connection, limit: usize) -> Result<usize, StoreError> {
        if self.interval.is_empty() {
            return Ok(0);
        }
        if matches!(self.index, IndexRef::Declared(..)) {
            return count_entries(conn, self.index, &self.interval, limit);
        }
        let rowids = rowid_range(conn, self.index, &self.interval)?;
        let natives = count_rowids(conn, self.index.table(), &rowids, limit)?;
        let entries = foreign::interval_of_entries(self.index, &self.interval);
        let foreigns = count_entries(conn, self.index, &entries, limit - natives)?;
        Ok(natives + foreigns)
    }
}

fn count_entries(
    conn: &Connection,
    index: IndexRef,
    interval: &Interval,
    limit: usize,
) -> Result<usize, StoreError> {
    let counted = index_entries::count(conn, index, interval, sql_limit(limit));
    counted.map(|count| count as usize).map_err(store_error)
}

fn count_rowids(
    conn: &Connection,
    table: TableNumber,
    rowids: &RangeInclusive<i64>,
    limit: usize,
) -> Result<usize, StoreError> {
    let document_table = DocumentTable(table);
    let count = format!(
        "SELECT count(*) FROM \
         (SELECT 1 FROM {document_table} WHERE number BETWEEN ?1 AND ?2 LIMIT ?3)"
    );
    let Some(mut count) = document_table.prepare(conn, &count)? else {
        return Ok(0);
    };
    let values = [*rowids.start(), *rowids.end(), sql_limit(limit)];
    let counted = count.query_row(values, |row| row.get::<_, i64>(0));
    counted.map(|count| count as usize).map_err(store_error)
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
