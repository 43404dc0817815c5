use lentil_store::{DocumentWrite, IndexRef, StoredDocument, WriteSet};
use rusqlite::Connection;

use super::foreign::ForeignTables;
use super::{documents, index_entries, row};

/// Applies a write set; returns the approximate number of bytes written.
pub(crate) fn apply(
    conn: &Connection,
    foreign: &mut ForeignTables,
    writes: &WriteSet,
) -> rusqlite::Result<usize> {
    let mut bytes = 0;
    for write in &writes.writes {
        bytes += apply_document(conn, foreign, write)?;
        bytes += apply_entries(conn, write)?;
    }
    Ok(bytes)
}

fn apply_document(
    conn: &Connection,
    foreign: &mut ForeignTables,
    DocumentWrite { id, old, new, .. }: &DocumentWrite,
) -> rusqlite::Result<usize> {
    let Some(new) = new else {
        if let Some(old) = old {
            documents::delete(conn, foreign, old)?;
        }
        return Ok(0);
    };
    let json = row::encode(new);
    match old {
        Some(old) if has_same_rowid(old, new) => {
            documents::update(conn, foreign, *id, &json)?;
        }
        Some(old) => {
            documents::delete(conn, foreign, old)?;
            documents::insert(conn, foreign, new, &json)?;
        }
        None => documents::insert(conn, foreign, new, &json)?,
    }
    Ok(json.len())
}

fn apply_entries(conn: &Connection, write: &DocumentWrite) -> rusqlite::Result<usize> {
    let mut bytes = 0;
    for change in &write.keys {
        // Only foreign documents have entries in `by_id` and `by_creation_time`; `documents` writes
        // those.
        if change.old == change.new || !matches!(change.index, IndexRef::Declared(..)) {
            continue;
        }
        if let Some(key) = &change.old {
            index_entries::remove(conn, change.index, key.as_bytes())?;
        }
        if let Some(key) = &change.new {
            bytes += key.as_bytes().len();
            index_entries::insert(conn, change.index, key.as_bytes())?;
        }
    }
    Ok(bytes)
}

/// Returns whether two states of a document are stored under one rowid. The creation time decides.
fn has_same_rowid(old: &StoredDocument, new: &StoredDocument) -> bool {
    old.creation_time.to_bits() == new.creation_time.to_bits()
}
