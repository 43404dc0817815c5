//! The errors of documents that cannot be read.

use lentil_store::{DamagedDocument, IndexRef, StoreError};
use lentil_values::{DocumentId, Interval, TableNames, TableNumber};
use rusqlite::Connection;

use crate::error::store_error;
use crate::tables::documents::{Tree, id_in};
use crate::tables::foreign::index_number;
use crate::tables::format;
use crate::tables::rowid::{FIRST_NATIVE, id_prefix, number_by_id};

/// The fault of a stored document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its checksum does not match.
    Checksum,
    /// It is not a document, or not one that belongs where it stands.
    Content(String),
}

/// The error of a row that is damaged.
pub(crate) fn of_row(
    conn: &Connection,
    table: TableNumber,
    number: i64,
    json: &[u8],
    fault: Fault,
) -> StoreError {
    let (tree, id) = (Tree(table), id_in(json).filter(|id| id.table == table));
    let what = match &fault {
        Fault::Checksum => "its checksum does not match",
        Fault::Content(what) => what,
    };
    let reason = format!(
        "{what} (row {number} of {tree}). Restore it from a backup. If you edited this row by hand, set its checksum \
         to NULL: UPDATE {tree} SET checksum = NULL WHERE number = {number}. To give the document up: DELETE FROM \
         {tree} WHERE number = {number}; {}",
        delete_entries(table, id, number)
    );
    damaged(conn, table, id, reason)
}

/// The statements that delete a document's index entries.
fn delete_entries(table: TableNumber, id: Option<DocumentId>, number: i64) -> String {
    let delete = "DELETE FROM _index_entries WHERE";
    if number < FIRST_NATIVE {
        let by_id = index_number(IndexRef::ById(table));
        let by_creation_time = index_number(IndexRef::ByCreationTime(table));
        let own = format!("substr(key, -8) = X'{}'", hex(&number.to_be_bytes()));
        return format!(
            "{delete} substr(key, -16) IN (SELECT substr(key, 1, 16) FROM _index_entries WHERE index_id = {by_id} \
             AND {own}); {delete} index_id IN ({by_id}, {by_creation_time}) AND {own}"
        );
    }
    match id {
        Some(id) => format!(
            "{delete} substr(key, -16) = X'{}'",
            hex(id.internal.as_bytes())
        ),
        // Without the id, use its beginning, which the number encodes.
        None => format!(
            "{delete} substr(key, -16, 8) = X'{}'",
            hex(&id_prefix(number))
        ),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The error of a document that an index entry names, and that is not there.
pub(crate) fn of_missing(conn: &Connection, index: IndexRef, id: DocumentId) -> StoreError {
    let index = index_name(conn, index);
    let reason = format!(
        "the index {index} has an entry for it, and its row is missing. Restore it from a backup. To give the \
         document up: {}",
        delete_entries(id.table, Some(id), number_by_id(id.internal))
    );
    damaged(conn, id.table, Some(id), reason)
}

/// The same error, of the document that was asked for if its row does not say which it is.
pub(crate) fn named(error: StoreError, id: DocumentId) -> StoreError {
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

/// The error of a row that SQLite failed to read: of the row, if its pages are damaged.
pub(crate) fn of_number(
    conn: &Connection,
    table: TableNumber,
    number: i64,
    error: rusqlite::Error,
) -> StoreError {
    match store_error(error) {
        StoreError::Corrupt(what) => {
            let tree = Tree(table);
            let reason = format!(
                "the pages of row {number} of {tree} cannot be read ({what}). Restore a backup of the data folder"
            );
            damaged(conn, table, None, reason)
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

/// The table's name, or that of its tree when the catalog cannot be read.
pub(crate) fn table_name(conn: &Connection, table: TableNumber) -> String {
    let catalog = format::read_catalog(conn).ok();
    let name = catalog.as_ref().and_then(|catalog| catalog.name(table));
    name.map_or_else(|| Tree(table).to_string(), str::to_owned)
}

/// An index's name, with its table's, for a message.
pub(crate) fn index_name(conn: &Connection, index: IndexRef) -> String {
    let table = table_name(conn, index.table());
    let name = match index {
        IndexRef::ById(_) => "by_id".to_owned(),
        IndexRef::ByCreationTime(_) => "by_creation_time".to_owned(),
        IndexRef::Declared(_, id) => {
            let catalog = format::read_catalog(conn).ok();
            let found = catalog.as_ref().and_then(|catalog| catalog.find_index(id));
            found.map_or_else(|| id.0.to_string(), |(_, _, index)| index.name.clone())
        }
    };
    format!("{table}.{name}")
}
