//! The table `_index_entries`: the entries of all indexes, each an index's id and a key.

use lentil_store::{IndexRef, Order};
use lentil_values::{Interval, TableNumber};
use rusqlite::{Connection, OptionalExtension, Rows, Statement, params};

/// Returns the `index_id` of an index: positive for a declared index, negative for `by_id` and
/// `by_creation_time`.
pub(crate) fn index_id(index: IndexRef) -> i64 {
    match index {
        IndexRef::Declared(_, index) => index.0.into(),
        IndexRef::ById(table) => -2 * i64::from(table.get()),
        IndexRef::ByCreationTime(table) => -2 * i64::from(table.get()) - 1,
    }
}

/// Returns the `by_id` or `by_creation_time` index that has this negative `index_id`.
pub(crate) fn system_index(index_id: i64) -> Option<IndexRef> {
    let table = u32::try_from(-(index_id / 2)).ok();
    let table = table.and_then(TableNumber::new)?;
    if index_id % 2 == 0 {
        Some(IndexRef::ById(table))
    } else {
        Some(IndexRef::ByCreationTime(table))
    }
}

pub(crate) fn insert(conn: &Connection, index: IndexRef, key: &[u8]) -> rusqlite::Result<()> {
    let insert = "INSERT INTO _index_entries (index_id, key) VALUES (?1, ?2)";
    conn.prepare_cached(insert)?
        .execute(params![index_id(index), key])?;
    Ok(())
}

/// Inserts an entry unless it exists.
pub(crate) fn insert_missing(
    conn: &Connection,
    index: IndexRef,
    key: &[u8],
) -> rusqlite::Result<()> {
    let insert = "INSERT OR IGNORE INTO _index_entries (index_id, key) VALUES (?1, ?2)";
    conn.prepare_cached(insert)?
        .execute(params![index_id(index), key])?;
    Ok(())
}

pub(crate) fn remove(conn: &Connection, index: IndexRef, key: &[u8]) -> rusqlite::Result<()> {
    let delete = "DELETE FROM _index_entries WHERE index_id = ?1 AND key = ?2";
    conn.prepare_cached(delete)?
        .execute(params![index_id(index), key])?;
    Ok(())
}

pub(crate) fn contains(conn: &Connection, index: IndexRef, key: &[u8]) -> rusqlite::Result<bool> {
    let select = "SELECT 1 FROM _index_entries WHERE index_id = ?1 AND key = ?2";
    let mut select = conn.prepare_cached(select)?;
    let found = select.query_row(params![index_id(index), key], |_| Ok(()));
    Ok(found.optional()?.is_some())
}

/// Returns the statement that reads the keys of an index in an interval; [`query`] runs it.
pub(crate) fn select_sql(order: Order, interval: &Interval) -> &'static str {
    match (order, interval.end.is_some()) {
        (Order::Asc, false) => {
            "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 ORDER BY key"
        }
        (Order::Asc, true) => {
            "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 AND key < ?3 \
             ORDER BY key"
        }
        (Order::Desc, false) => {
            "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 ORDER BY key DESC"
        }
        (Order::Desc, true) => {
            "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 AND key < ?3 \
             ORDER BY key DESC"
        }
    }
}

/// Runs a statement of [`select_sql`].
pub(crate) fn query<'s>(
    statement: &'s mut Statement<'_>,
    index: IndexRef,
    Interval { start, end }: &Interval,
) -> rusqlite::Result<Rows<'s>> {
    let index = index_id(index);
    match end {
        Some(end) => statement.query(params![index, start, end]),
        None => statement.query(params![index, start]),
    }
}

/// Counts the entries of an index in an interval, up to `limit`.
pub(crate) fn count(
    conn: &Connection,
    index: IndexRef,
    interval: &Interval,
    limit: i64,
) -> rusqlite::Result<i64> {
    let index = index_id(index);
    let Interval { start, end } = interval;
    match end {
        Some(end) => {
            let count = "SELECT count(*) FROM (SELECT 1 FROM _index_entries \
                 WHERE index_id = ?1 AND key >= ?3 AND key < ?4 LIMIT ?2)";
            let mut count = conn.prepare_cached(count)?;
            count.query_row(params![index, limit, start, end], |row| row.get(0))
        }
        None => {
            let count = "SELECT count(*) FROM (SELECT 1 FROM _index_entries \
                 WHERE index_id = ?1 AND key >= ?3 LIMIT ?2)";
            let mut count = conn.prepare_cached(count)?;
            count.query_row(params![index, limit, start], |row| row.get(0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_index_ids_are_unique() {
        for table in [1, 513, 10_001, u32::MAX] {
            let table = TableNumber::new(table).unwrap();
            for index in [IndexRef::ById(table), IndexRef::ByCreationTime(table)] {
                assert_eq!(system_index(index_id(index)), Some(index));
            }
        }
        assert_eq!(system_index(0), None);
        assert_eq!(system_index(i64::MIN), None);
    }
}
