//! The errors of documents that cannot be read.

use lentil_store::{DamagedDocument, IndexRef, StoreError};
use lentil_values::{DocumentId, Interval, TableNames, TableNumber};
use rusqlite::Connection;

use super::document_table::DocumentTable;
use super::format;
use super::index_entries::index_id;
use super::row::{Fault, StoredRow};
use super::rowid::{FIRST_NATIVE, id_prefix, rowid_of};
use crate::error::store_error;

/// Returns the error of a damaged row.
pub(crate) fn of_row(
    conn: &Connection,
    table: TableNumber,
    row: &StoredRow<'_>,
    fault: &Fault,
) -> StoreError {
    let rowid = row.rowid;
    let document_table = DocumentTable(table);
    let id = row.id().filter(|id| id.table == table);
    let what = match fault {
        Fault::Checksum => "its checksum does not match",
        Fault::Content(what) => what,
    };
    let reason = format!(
        "{what} (row {rowid} of {document_table}). Restore it from a backup. \
         If you edited this row by hand, set its checksum to NULL: \
         UPDATE {document_table} SET checksum = NULL WHERE number = {rowid}. \
         To delete the document: DELETE FROM {document_table} WHERE number = {rowid}; {}",
        delete_entries_sql(table, id, rowid)
    );
    damaged(conn, table, id, reason)
}

/// Returns the statements that delete a document's index entries.
fn delete_entries_sql(table: TableNumber, id: Option<DocumentId>, rowid: i64) -> String {
    let delete = "DELETE FROM _index_entries WHERE";
    if rowid < FIRST_NATIVE {
        let by_id = index_id(IndexRef::ById(table));
        let by_creation_time = index_id(IndexRef::ByCreationTime(table));
        let own = format!("substr(key, -8) = X'{}'", hex(&rowid.to_be_bytes()));
        return format!(
            "{delete} substr(key, -16) IN \
             (SELECT substr(key, 1, 16) FROM _index_entries WHERE index_id = {by_id} AND {own}); \
             {delete} index_id IN ({by_id}, {by_creation_time}) AND {own}"
        );
    }
    match id {
        Some(id) => format!(
            "{delete} substr(key, -16) = X'{}'",
            hex(id.internal.as_bytes())
        ),
        // The id is damaged; the rowid still encodes its first half.
        None => format!(
            "{delete} substr(key, -16, 8) = X'{}'",
            hex(&id_prefix(rowid))
        ),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the error of an index entry whose document is missing.
pub(crate) fn of_missing(conn: &Connection, index: IndexRef, id: DocumentId) -> StoreError {
    let index = index_name(conn, index);
    let reason = format!(
        "the index {index} has an entry for it, and its row is missing. \
         Restore it from a backup. To delete the document: {}",
        delete_entries_sql(id.table, Some(id), rowid_of(id.internal))
    );
    damaged(conn, id.table, Some(id), reason)
}

/// Returns the error of a row that SQLite failed to read. If its pages are damaged, the error names
/// the row.
pub(crate) fn of_unreadable_row(
    conn: &Connection,
    table: TableNumber,
    rowid: i64,
    error: rusqlite::Error,
) -> StoreError {
    match store_error(error) {
        StoreError::Corrupt(what) => {
            let document_table = DocumentTable(table);
            let reason = format!(
                "the pages of row {rowid} of {document_table} cannot be read ({what}). \
                 Restore a backup of the data folder"
            );
            damaged(conn, table, None, reason)
        }
        other => other,
    }
}

/// Adds the requested id to the error of a damaged document whose own id cannot be read.
pub(crate) fn with_id(error: StoreError, id: DocumentId) -> StoreError {
    match error {
        StoreError::DamagedDocument(mut damaged) => {
            damaged.id = damaged.id.or(Some(id));
            StoreError::DamagedDocument(damaged)
        }
        other => other,
    }
}

/// Adds the interval of the scanned index that leads to the damaged document.
pub(crate) fn with_entries(error: StoreError, entries: Interval) -> StoreError {
    match error {
        StoreError::DamagedDocument(mut damaged) => {
            damaged.entries = Some(entries);
            StoreError::DamagedDocument(damaged)
        }
        other => other,
    }
}

fn damaged(
    conn: &Connection,
    table: TableNumber,
    id: Option<DocumentId>,
    reason: String,
) -> StoreError {
    StoreError::DamagedDocument(Box::new(DamagedDocument {
        table: table_name(conn, table),
        id,
        entries: None,
        reason,
    }))
}

/// Returns a table's name, or the name of its document table if the catalog cannot be read.
pub(crate) fn table_name(conn: &Connection, table: TableNumber) -> String {
    let catalog = format::read_catalog(conn).ok();
    match catalog.as_ref().and_then(|catalog| catalog.name(table)) {
        Some(name) => name.to_owned(),
        None => DocumentTable(table).to_string(),
    }
}

/// Returns an index's name in the form `table.index`.
pub(crate) fn index_name(conn: &Connection, index: IndexRef) -> String {
    let table = table_name(conn, index.table());
    match index {
        IndexRef::ById(_) => format!("{table}.by_id"),
        IndexRef::ByCreationTime(_) => format!("{table}.by_creation_time"),
        IndexRef::Declared(_, id) => {
            let catalog = format::read_catalog(conn).ok();
            match catalog.as_ref().and_then(|catalog| catalog.find_index(id)) {
                Some((_, _, index)) => format!("{table}.{}", index.name),
                None => format!("{table}.{}", id.0),
            }
        }
    }
}
