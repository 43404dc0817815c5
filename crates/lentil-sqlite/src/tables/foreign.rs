//! Foreign documents: documents whose ids do not encode their numbers.
//!
//! A document made here has an id that begins with its creation time, and that gives its number (`numbers`). A document
//! that was made elsewhere may have any id and any creation time, and so may one whose number was taken. Such a foreign
//! document has a number below all that creation times give, and entries in two indexes that need none otherwise:
//!
//! ```text
//! _documents_10001   number               json
//!                    -9223372036854775807 {"_creationTime":1.7e12,"_id":"j57…x", …}    foreign
//!                     4800193839103672320 {"_creationTime":1.8e12,"_id":"j57…y", …}    native
//!
//! _index_entries     index_id   key
//!                    -20003     1.7e12 ‖ x ‖ -9223372036854775807                      by_creation_time
//!                    -20002     x ‖ -9223372036854775807                               by_id
//!                     7         "queued" ‖ 1.7e12 ‖ x                                  a declared index
//!                     7         "queued" ‖ 1.8e12 ‖ y
//! ```
//!
//! So a native document is found without them, and a declared index does not know which documents are foreign.

use std::collections::BTreeMap;

use lentil_store::{IndexRef, StoreError, StoredDocument};
use lentil_values::{DocumentId, IndexKey, Interval, TableNumber, after_prefix};
use rusqlite::{Connection, ErrorCode, OptionalExtension, ffi, params};

use crate::error::store_error;
use crate::tables::checksum::checksum;
use crate::tables::documents::Tree;
use crate::tables::format;
use crate::tables::rowid::{FIRST_NATIVE, id_key, time_key};
use crate::tables::write_set;

/// The bytes of a number at the end of an entry.
const NUMBER: usize = 8;
/// The bytes of a key of `by_id`.
const ID_KEY: usize = 16;
/// The bytes of a key of `by_creation_time`: a tag, the time and the id.
const TIME_KEY: usize = 1 + 8 + ID_KEY;

/// Which tables have foreign documents, as far as the writer has looked.
///
/// It is asked before each update and delete, so that tables without foreign documents pay no lookup.
#[derive(Default)]
pub(crate) struct ForeignTables(BTreeMap<TableNumber, bool>);

impl ForeignTables {
    /// The number of a foreign document; `None` when no foreign document has this id.
    pub(crate) fn number_of(
        &mut self,
        conn: &Connection,
        id: DocumentId,
    ) -> rusqlite::Result<Option<i64>> {
        let has_any = match self.0.get(&id.table) {
            Some(has_any) => *has_any,
            None => {
                let has_any = last_number(conn, id.table)?.is_some();
                self.0.insert(id.table, has_any);
                has_any
            }
        };
        if has_any {
            find_number(conn, id)
        } else {
            Ok(None)
        }
    }
}

/// The number under which `_index_entries` has an index.
pub(crate) fn index_number(index: IndexRef) -> i64 {
    match index {
        IndexRef::Declared(_, index) => index.0.into(),
        IndexRef::ById(table) => -2 * i64::from(table.get()),
        IndexRef::ByCreationTime(table) => -2 * i64::from(table.get()) - 1,
    }
}

/// The index that [`index_number`] gives this number below zero.
pub(crate) fn system_index(number: i64) -> Option<IndexRef> {
    let table = u32::try_from(-(number / 2)).ok();
    let table = table.and_then(TableNumber::new)?;
    Some(if number % 2 == 0 {
        IndexRef::ById(table)
    } else {
        IndexRef::ByCreationTime(table)
    })
}

/// The number of a foreign document; `None` when no foreign document has this id.
pub(crate) fn number_of(conn: &Connection, id: DocumentId) -> Result<Option<i64>, StoreError> {
    find_number(conn, id).map_err(store_error)
}

fn find_number(conn: &Connection, id: DocumentId) -> rusqlite::Result<Option<i64>> {
    let select = "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 LIMIT 1";
    let mut select = conn.prepare_cached(select)?;
    let by_id = index_number(IndexRef::ById(id.table));
    let mut rows = select.query(params![by_id, id.internal.as_bytes()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let entry = split(row.get_ref(0)?.as_blob()?);
    let entry = entry.filter(|(key, _)| key.as_bytes() == id.internal.as_bytes());
    Ok(entry.map(|(_, number)| number))
}

/// The key and the number of which an entry is made.
pub(crate) fn split(entry: &[u8]) -> Option<(IndexKey, i64)> {
    let (key, number) = entry.split_last_chunk::<NUMBER>()?;
    Some((
        IndexKey::from_bytes(key.to_vec()),
        i64::from_be_bytes(*number),
    ))
}

/// The two entries of a foreign document.
pub(crate) fn entries(document: &StoredDocument, number: i64) -> [(IndexRef, Vec<u8>); 2] {
    let table = document.id.table;
    let keys = [
        (IndexRef::ById(table), id_key(document)),
        (IndexRef::ByCreationTime(table), time_key(document)),
    ];
    keys.map(|(index, key)| (index, [key.as_bytes(), &number.to_be_bytes()].concat()))
}

/// The entries whose keys are in an interval of `by_id` or `by_creation_time`.
///
/// All keys of an index are equally long, and their numbers come after that. So a bound that is longer than a key is
/// cut to the least key above it.
pub(crate) fn interval_of_entries(index: IndexRef, interval: &Interval) -> Interval {
    let length = match index {
        IndexRef::ById(_) => ID_KEY,
        _ => TIME_KEY,
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

/// Inserts a document under a free number, with its entries.
pub(crate) fn insert(
    conn: &Connection,
    foreign: &mut ForeignTables,
    document: &StoredDocument,
    json: &str,
) -> rusqlite::Result<()> {
    let (id, tree) = (document.id, Tree(document.id.table));
    if find_number(conn, id)?.is_some() {
        return Err(already_there(id));
    }
    let number = match last_number(conn, id.table)? {
        Some(last) => last + 1,
        None => {
            format::show_by_creation_time(conn, id.table)?;
            i64::MIN
        }
    };
    if number >= FIRST_NATIVE {
        return Err(refusal(format!("{tree} has no number left for \"{id}\"")));
    }
    foreign.0.insert(id.table, true);
    let insert = format!("INSERT INTO {tree} (number, json, checksum) VALUES (?1, ?2, ?3)");
    let checksum = checksum(id.table, number, json.as_bytes());
    conn.prepare_cached(&insert)?
        .execute(params![number, json, checksum])?;
    for (index, entry) in entries(document, number) {
        write_set::insert_entry(conn, index, &entry)?;
    }
    Ok(())
}

/// Removes the entries of a foreign document.
pub(crate) fn remove_entries(
    conn: &Connection,
    document: &StoredDocument,
    number: i64,
) -> rusqlite::Result<()> {
    for (index, entry) in entries(document, number) {
        write_set::remove_entry(conn, index, &entry)?;
    }
    Ok(())
}

/// The greatest number of a table's foreign documents.
fn last_number(conn: &Connection, table: TableNumber) -> rusqlite::Result<Option<i64>> {
    let select = format!(
        "SELECT number FROM {} WHERE number < ?1 ORDER BY number DESC LIMIT 1",
        Tree(table)
    );
    let mut select = conn.prepare_cached(&select)?;
    select
        .query_row([FIRST_NATIVE], |row| row.get(0))
        .optional()
}

/// The error of a second document with an id.
pub(crate) fn already_there(id: DocumentId) -> rusqlite::Error {
    refusal(format!("there is a document \"{id}\" already"))
}

fn refusal(message: String) -> rusqlite::Error {
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

    fn near(length: usize) -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(0), Just(1), Just(0xfe), Just(0xff)];
        (byte, 0..length + 4).prop_map(|(byte, length)| vec![byte; length])
    }

    #[test]
    fn system_indexes_have_numbers_of_their_own() {
        for table in [1, 513, 10_001, u32::MAX] {
            let table = TableNumber::new(table).unwrap();
            for index in [IndexRef::ById(table), IndexRef::ByCreationTime(table)] {
                assert_eq!(system_index(index_number(index)), Some(index));
            }
        }
        assert_eq!(system_index(0), None);
        assert_eq!(system_index(i64::MIN), None);
    }

    proptest! {
        #[test]
        fn an_interval_of_keys_is_the_interval_of_their_entries(
            start in near(25), end in prop::option::of(near(25)), byte in prop_oneof![Just(0), Just(1), Just(0xfe), Just(0xff)],
            last: u8, number: i64, time: f64
        ) {
            let interval = Interval { start, end };
            let mut id = [byte; 16];
            id[15] = last;
            let id = DocumentId { table: TableNumber::FIRST_USER, internal: InternalId(id) };
            let document = StoredDocument { id, creation_time: time, fields: Object::new() };
            for (index, entry) in entries(&document, number) {
                let (key, of) = split(&entry).unwrap();
                prop_assert_eq!(of, number);
                let entries = interval_of_entries(index, &interval);
                prop_assert_eq!(entries.contains(&entry), interval.contains(key.as_bytes()));
            }
        }
    }
}
