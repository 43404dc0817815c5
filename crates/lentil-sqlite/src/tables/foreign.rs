//! Foreign documents: documents whose ids do not encode their rowids.
//!
//! A native document's id begins with its creation time, which gives its rowid (`rowid`). A
//! document imported from another database may have any id and any creation time, or its rowid may
//! be taken. Such a foreign document gets a rowid below those of all native documents. It also gets
//! entries in `by_id` and `by_creation_time`, which native documents do not need:
//!
//! ```text
//! _documents_10001   number (the rowid)   json
//!                    -9223372036854775807 {"_creationTime":1.7e12,"_id":"j57…x", …}    foreign
//!                     4800193839103672320 {"_creationTime":1.8e12,"_id":"j57…y", …}    native
//!
//! _index_entries     index_id   key
//!                    -20003     1.7e12 ‖ x ‖ -9223372036854775807               by_creation_time
//!                    -20002     x ‖ -9223372036854775807                        by_id
//!                     7         "queued" ‖ 1.7e12 ‖ x                           a declared index
//!                     7         "queued" ‖ 1.8e12 ‖ y
//! ```
//!
//! Entries of declared indexes are the same for native and foreign documents.

use std::collections::BTreeMap;

use lentil_store::{IndexRef, StoreError, StoredDocument};
use lentil_values::{DocumentId, IndexKey, Interval, TableNumber, after_prefix};
use rusqlite::{Connection, ErrorCode, OptionalExtension, ffi, params};

use super::document_table::DocumentTable;
use super::format;
use super::index_entries::{self, index_id};
use super::row::checksum;
use super::rowid::{FIRST_NATIVE, creation_time_key, id_key};
use crate::error::store_error;

/// The length of the rowid at the end of an entry, in bytes.
const ROWID_LENGTH: usize = 8;
/// The length of a key of `by_id`, in bytes.
const ID_KEY_LENGTH: usize = 16;
/// The length of a key of `by_creation_time`, in bytes: a tag, the time and the id.
const CREATION_TIME_KEY_LENGTH: usize = 1 + 8 + ID_KEY_LENGTH;

/// A cache of which tables have foreign documents.
///
/// Every update and delete asks it, so that tables without foreign documents pay no lookup.
#[derive(Default)]
pub(crate) struct ForeignTables(BTreeMap<TableNumber, bool>);

impl ForeignTables {
    /// Returns the rowid of the foreign document with this id, if there is one.
    pub(crate) fn find_rowid(
        &mut self,
        conn: &Connection,
        id: DocumentId,
    ) -> rusqlite::Result<Option<i64>> {
        let has_any = match self.0.get(&id.table) {
            Some(has_any) => *has_any,
            None => {
                let has_any = last_rowid(conn, id.table)?.is_some();
                self.0.insert(id.table, has_any);
                has_any
            }
        };
        if has_any {
            find_rowid(conn, id)
        } else {
            Ok(None)
        }
    }
}

/// Returns the rowid of the foreign document with this id, if there is one.
pub(crate) fn find_rowid(conn: &Connection, id: DocumentId) -> rusqlite::Result<Option<i64>> {
    let select = "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 LIMIT 1";
    let mut select = conn.prepare_cached(select)?;
    let by_id = index_id(IndexRef::ById(id.table));
    let mut rows = select.query(params![by_id, id.internal.as_bytes()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    match split_entry(row.get_ref(0)?.as_blob()?) {
        Some((key, rowid)) if key.as_bytes() == id.internal.as_bytes() => Ok(Some(rowid)),
        _ => Ok(None),
    }
}

/// As [`find_rowid`], for readers.
pub(crate) fn lookup(conn: &Connection, id: DocumentId) -> Result<Option<i64>, StoreError> {
    find_rowid(conn, id).map_err(store_error)
}

/// Splits an entry of `by_id` or `by_creation_time` into its key and rowid.
pub(crate) fn split_entry(entry: &[u8]) -> Option<(IndexKey, i64)> {
    let (key, rowid) = entry.split_last_chunk::<ROWID_LENGTH>()?;
    let key = IndexKey::from_bytes(key.to_vec());
    Some((key, i64::from_be_bytes(*rowid)))
}

/// Returns the two entries of a foreign document.
pub(crate) fn entries(document: &StoredDocument, rowid: i64) -> [(IndexRef, Vec<u8>); 2] {
    let table = document.id.table;
    let keys = [
        (IndexRef::ById(table), id_key(document)),
        (IndexRef::ByCreationTime(table), creation_time_key(document)),
    ];
    keys.map(|(index, key)| (index, [key.as_bytes(), &rowid.to_be_bytes()].concat()))
}

/// Returns the interval of the entries whose keys are in an interval of `by_id` or
/// `by_creation_time`.
///
/// All keys of an index have the same length, and an entry adds the rowid. So a bound that is
/// longer than a key is replaced by the least key above it.
pub(crate) fn interval_of_entries(index: IndexRef, interval: &Interval) -> Interval {
    let length = match index {
        IndexRef::ById(_) => ID_KEY_LENGTH,
        _ => CREATION_TIME_KEY_LENGTH,
    };
    let cut = |bound: &[u8]| match bound.get(..length) {
        Some(key) if bound.len() > length => after_prefix(key),
        _ => Some(bound.to_vec()),
    };
    match cut(&interval.start) {
        Some(start) => Interval {
            start,
            end: interval.end.as_deref().and_then(cut),
        },
        None => Interval::none(),
    }
}

/// Inserts a document under a free rowid, with its entries.
pub(crate) fn insert(
    conn: &Connection,
    foreign: &mut ForeignTables,
    document: &StoredDocument,
    json: &str,
) -> rusqlite::Result<()> {
    let id = document.id;
    let table = DocumentTable(id.table);
    if find_rowid(conn, id)?.is_some() {
        return Err(duplicate_id(id));
    }
    let rowid = match last_rowid(conn, id.table)? {
        Some(last) => last + 1,
        None => {
            // The table's first foreign document.
            format::order_view_by_creation_time(conn, id.table)?;
            i64::MIN
        }
    };
    if rowid >= FIRST_NATIVE {
        return Err(constraint_violation(format!(
            "{table} has no rowid left for \"{id}\""
        )));
    }
    // Before the insertion: a cache that is wrong after a failure only costs a lookup.
    foreign.0.insert(id.table, true);

    let insert = format!("INSERT INTO {table} (number, json, checksum) VALUES (?1, ?2, ?3)");
    let checksum = checksum(id.table, rowid, json.as_bytes());
    conn.prepare_cached(&insert)?
        .execute(params![rowid, json, checksum])?;
    for (index, entry) in entries(document, rowid) {
        index_entries::insert(conn, index, &entry)?;
    }
    Ok(())
}

/// Removes the entries of a foreign document.
pub(crate) fn remove_entries(
    conn: &Connection,
    document: &StoredDocument,
    rowid: i64,
) -> rusqlite::Result<()> {
    for (index, entry) in entries(document, rowid) {
        index_entries::remove(conn, index, &entry)?;
    }
    Ok(())
}

/// Returns the greatest rowid of a table's foreign documents.
fn last_rowid(conn: &Connection, table: TableNumber) -> rusqlite::Result<Option<i64>> {
    let table = DocumentTable(table);
    let select =
        format!("SELECT number FROM {table} WHERE number < ?1 ORDER BY number DESC LIMIT 1");
    let mut select = conn.prepare_cached(&select)?;
    select
        .query_row([FIRST_NATIVE], |row| row.get(0))
        .optional()
}

/// Returns the error of inserting a second document with an id.
pub(crate) fn duplicate_id(id: DocumentId) -> rusqlite::Error {
    constraint_violation(format!("a document \"{id}\" exists already"))
}

fn constraint_violation(message: String) -> rusqlite::Error {
    let code = ffi::Error {
        code: ErrorCode::ConstraintViolation,
        extended_code: ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
    };
    rusqlite::Error::SqliteFailure(code, Some(message))
}

#[cfg(test)]
mod tests {
    use lentil_values::{InternalId, Object};
    use proptest::prelude::*;

    use super::*;

    /// A byte at an edge, so that bounds and keys often share a prefix.
    fn edge_byte() -> impl Strategy<Value = u8> {
        prop_oneof![Just(0), Just(1), Just(0xfe), Just(0xff)]
    }

    fn bound() -> impl Strategy<Value = Vec<u8>> {
        let length = 0..CREATION_TIME_KEY_LENGTH + 4;
        (edge_byte(), length).prop_map(|(byte, length)| vec![byte; length])
    }

    proptest! {
        #[test]
        fn interval_of_keys_is_interval_of_entries(
            start in bound(),
            end in prop::option::of(bound()),
            byte in edge_byte(),
            last: u8,
            rowid: i64,
            time: f64,
        ) {
            let mut id = [byte; 16];
            id[15] = last;
            let document = StoredDocument {
                id: DocumentId { table: TableNumber::FIRST_USER, internal: InternalId(id) },
                creation_time: time,
                fields: Object::new(),
            };
            let interval = Interval { start, end };
            for (index, entry) in entries(&document, rowid) {
                let (key, found) = split_entry(&entry).unwrap();
                prop_assert_eq!(found, rowid);
                let is_in_entries = interval_of_entries(index, &interval).contains(&entry);
                prop_assert_eq!(is_in_entries, interval.contains(key.as_bytes()));
            }
        }
    }
}
