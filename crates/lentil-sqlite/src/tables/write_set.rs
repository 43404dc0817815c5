//! Write sets and index entries.

use lentil_store::{IndexRef, StoredDocument, WriteSet};
use rusqlite::{Connection, params};

use crate::tables::documents::{self, encode};
use crate::tables::foreign::{ForeignTables, index_number};

/// Applies a write set; returns about how many bytes that wrote.
pub(crate) fn apply(
    conn: &Connection,
    foreign: &mut ForeignTables,
    writes: &WriteSet,
) -> rusqlite::Result<usize> {
    let mut bytes = 0;
    for write in &writes.writes {
        let json = write.new.as_ref().map(|document| encode(document));
        bytes += json.as_ref().map_or(0, String::len);
        match (&write.old, &write.new, &json) {
            (Some(old), Some(new), Some(json)) if have_one_creation_time(old, new) => {
                documents::update(conn, foreign, write.id, json)?;
            }
            (old, new, json) => {
                if let Some(old) = old {
                    documents::delete(conn, foreign, old)?;
                }
                if let (Some(new), Some(json)) = (new, json) {
                    documents::insert(conn, foreign, new, json)?;
                }
            }
        }
        for change in write.keys.iter().filter(|change| change.old != change.new) {
            // `by_id` and `by_creation_time` have entries of foreign documents alone.
            if !matches!(change.index, IndexRef::Declared(..)) {
                continue;
            }
            if let Some(key) = &change.old {
                remove_entry(conn, change.index, key.as_bytes())?;
            }
            if let Some(key) = &change.new {
                bytes += key.as_bytes().len();
                insert_entry(conn, change.index, key.as_bytes())?;
            }
        }
    }
    Ok(bytes)
}

/// Returns whether two states of a document have one creation time, which decides where it is stored.
fn have_one_creation_time(old: &StoredDocument, new: &StoredDocument) -> bool {
    old.creation_time.to_bits() == new.creation_time.to_bits()
}

pub(crate) fn insert_entry(conn: &Connection, index: IndexRef, key: &[u8]) -> rusqlite::Result<()> {
    let insert = "INSERT INTO _index_entries (index_id, key) VALUES (?1, ?2)";
    conn.prepare_cached(insert)?
        .execute(params![index_number(index), key])
        .map(drop)
}

/// Inserts an entry that may be there already.
pub(crate) fn insert_missing_entry(
    conn: &Connection,
    index: IndexRef,
    key: &[u8],
) -> rusqlite::Result<()> {
    let insert = "INSERT OR IGNORE INTO _index_entries (index_id, key) VALUES (?1, ?2)";
    conn.prepare_cached(insert)?
        .execute(params![index_number(index), key])
        .map(drop)
}

pub(crate) fn remove_entry(conn: &Connection, index: IndexRef, key: &[u8]) -> rusqlite::Result<()> {
    let delete = "DELETE FROM _index_entries WHERE index_id = ?1 AND key = ?2";
    conn.prepare_cached(delete)?
        .execute(params![index_number(index), key])
        .map(drop)
}
