//! Write sets and index entries.

use lentil_store::{IndexId, IndexRef, WriteSet};
use rusqlite::{Connection, params};

use crate::documents::{self, encode};

/// Applies a write set; returns about how many bytes that wrote.
pub(crate) fn apply(conn: &Connection, writes: &WriteSet) -> rusqlite::Result<usize> {
    let mut bytes = 0;
    for write in &writes.writes {
        let json = write.new.as_ref().map(|document| encode(document));
        bytes += json.as_ref().map_or(0, String::len);
        match (&write.old, json) {
            (None, Some(json)) => documents::insert(conn, write.id, &json)?,
            (Some(_), Some(json)) => documents::update(conn, write.id, &json)?,
            (_, None) => documents::delete(conn, write.id)?,
        }
        for change in write.keys.iter().filter(|change| change.old != change.new) {
            let IndexRef::Declared(_, index) = change.index else {
                continue;
            };
            if let Some(key) = &change.old {
                remove_entry(conn, index, key.as_bytes())?;
            }
            if let Some(key) = &change.new {
                bytes += key.as_bytes().len();
                insert_entry(conn, index, key.as_bytes())?;
            }
        }
    }
    Ok(bytes)
}

fn insert_entry(conn: &Connection, index: IndexId, key: &[u8]) -> rusqlite::Result<()> {
    let insert = "INSERT INTO _index_entries (index_id, key) VALUES (?1, ?2)";
    conn.prepare_cached(insert)?
        .execute(params![index.0, key])
        .map(drop)
}

/// Inserts an entry that may be there already.
pub(crate) fn insert_missing_entry(
    conn: &Connection,
    index: IndexId,
    key: &[u8],
) -> rusqlite::Result<()> {
    let insert = "INSERT OR IGNORE INTO _index_entries (index_id, key) VALUES (?1, ?2)";
    conn.prepare_cached(insert)?
        .execute(params![index.0, key])
        .map(drop)
}

fn remove_entry(conn: &Connection, index: IndexId, key: &[u8]) -> rusqlite::Result<()> {
    let delete = "DELETE FROM _index_entries WHERE index_id = ?1 AND key = ?2";
    conn.prepare_cached(delete)?
        .execute(params![index.0, key])
        .map(drop)
}
