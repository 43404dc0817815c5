//! Reading and writing single documents. Each read verifies the document that it returns.

use std::sync::Arc;

use lentil_store::{IndexRef, StoreError, StoredDocument};
use lentil_values::{DocumentId, TableNumber};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::damage;
use super::document_table::DocumentTable;
use super::foreign::{self, ForeignTables};
use super::row::{StoredRow, checksum, encode, id_in};
use super::rowid::{native_rowid, rowid_of};
use crate::error::store_error;

/// A prepared lookup in one table.
pub(crate) struct Documents<'c> {
    conn: &'c Connection,
    table: TableNumber,
    by_rowid: CachedStatement<'c>,
}

/// A document that was read, and the length of its JSON.
pub(crate) struct FoundDocument {
    pub(crate) document: Arc<StoredDocument>,
    pub(crate) bytes: usize,
}

impl<'c> Documents<'c> {
    /// Prepares the lookup; returns `None` if the table does not exist.
    pub(crate) fn of(
        conn: &'c Connection,
        table: TableNumber,
    ) -> Result<Option<Documents<'c>>, StoreError> {
        let document_table = DocumentTable(table);
        let select =
            document_table.sql("SELECT number, json, checksum FROM ", " WHERE number = ?1");
        let by_rowid = document_table.prepare(conn, &select)?;
        Ok(by_rowid.map(|by_rowid| Documents {
            conn,
            table,
            by_rowid,
        }))
    }

    /// Returns the document with this rowid.
    pub(crate) fn at(&mut self, rowid: i64) -> Result<Option<FoundDocument>, StoreError> {
        let failed = |error| damage::of_unreadable_row(self.conn, self.table, rowid, error);
        let mut rows = self.by_rowid.query([rowid]).map_err(failed)?;
        match rows.next().map_err(failed)? {
            Some(row) => read(self.conn, self.table, row).map(Some),
            None => Ok(None),
        }
    }

    /// Returns the document with this id, native or foreign.
    pub(crate) fn get(&mut self, id: DocumentId) -> Result<Option<FoundDocument>, StoreError> {
        let native = self.at(rowid_of(id.internal));
        if let Ok(Some(found)) = &native
            && found.document.id == id
        {
            return native;
        }
        // Another document may have the native rowid, and that document may be the damaged one.
        let Some(rowid) = foreign::lookup(self.conn, id)? else {
            return match native {
                Ok(_) => Ok(None),
                Err(error) => Err(damage::with_id(error, id)),
            };
        };
        let found = self.at(rowid).map_err(|error| damage::with_id(error, id))?;
        match found.filter(|found| found.document.id == id) {
            Some(found) => Ok(Some(found)),
            None => Err(damage::of_missing(self.conn, IndexRef::ById(id.table), id)),
        }
    }

    /// Returns the JSON of the row with this rowid, without verifying it.
    fn json_at(&mut self, rowid: i64) -> Result<Option<String>, StoreError> {
        let json = self.by_rowid.query_row([rowid], |row| row.get(1));
        json.optional().map_err(store_error)
    }
}

/// Reads and verifies the document in a row of [`COLUMNS`](super::document_table::COLUMNS).
///
/// # Errors
/// [`StoreError::DamagedDocument`] if it differs from the document that was written.
pub(crate) fn read(
    conn: &Connection,
    table: TableNumber,
    row: &Row<'_>,
) -> Result<FoundDocument, StoreError> {
    let row = StoredRow::of(row).map_err(store_error)?;
    match row.verify(table) {
        Ok(document) => Ok(FoundDocument {
            document,
            bytes: row.json.len(),
        }),
        Err(fault) => Err(damage::of_row(conn, table, &row, &fault)),
    }
}

/// Returns the document with this id.
pub(crate) fn get(
    conn: &Connection,
    id: DocumentId,
) -> Result<Option<Arc<StoredDocument>>, StoreError> {
    let Some(mut documents) = Documents::of(conn, id.table)? else {
        return Ok(None);
    };
    Ok(documents.get(id)?.map(|found| found.document))
}

/// Returns whether the store has exactly this document under an id; `None` stands for no document.
pub(crate) fn is_stored(
    conn: &Connection,
    id: DocumentId,
    document: Option<&StoredDocument>,
) -> Result<bool, StoreError> {
    let Some(mut documents) = Documents::of(conn, id.table)? else {
        return Ok(document.is_none());
    };
    // The checksum is not verified: damage must not make a snapshot fail that does not read this
    // document.
    let native = documents.json_at(rowid_of(id.internal))?;
    let native = native.filter(|json| id_in(json.as_bytes()) == Some(id));
    let stored = match (native, foreign::lookup(conn, id)?) {
        (None, Some(rowid)) => documents.json_at(rowid)?,
        (native, _) => native,
    };
    Ok(stored == document.map(encode))
}

/// Inserts a document under the rowid that its id encodes, or else as a foreign document.
pub(crate) fn insert(
    conn: &Connection,
    foreign: &mut ForeignTables,
    document: &StoredDocument,
    json: &str,
) -> rusqlite::Result<()> {
    let id = document.id;
    if let Some(rowid) = native_rowid(document) {
        let insert = DocumentTable(id.table).sql(
            "INSERT INTO ",
            " (number, json, checksum) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        );
        let checksum = checksum(id.table, rowid, json.as_bytes());
        let mut insert = conn.prepare_cached(&insert)?;
        if insert.execute(params![rowid, json, checksum])? == 1 {
            return Ok(());
        }
        // Another document has the rowid: this one becomes foreign, unless it is the same one.
        if id_at(conn, id.table, rowid)? == Some(id) {
            return Err(foreign::duplicate_id(id));
        }
    }
    foreign::insert(conn, foreign, document, json)
}

/// Returns the id of the document with this rowid if it can be read.
fn id_at(
    conn: &Connection,
    table: TableNumber,
    rowid: i64,
) -> rusqlite::Result<Option<DocumentId>> {
    let table = DocumentTable(table);
    let select = format!("SELECT json FROM {table} WHERE number = ?1");
    conn.query_row(&select, [rowid], |row| {
        Ok(id_in(row.get_ref(0)?.as_bytes()?))
    })
}

/// Overwrites an existing document; its id and creation time stay the same.
pub(crate) fn update(
    conn: &Connection,
    foreign: &mut ForeignTables,
    id: DocumentId,
    json: &str,
) -> rusqlite::Result<()> {
    let rowid = match foreign.find_rowid(conn, id)? {
        Some(rowid) => rowid,
        None => rowid_of(id.internal),
    };
    let checksum = checksum(id.table, rowid, json.as_bytes());
    let update =
        DocumentTable(id.table).sql("UPDATE ", " SET json = ?2, checksum = ?3 WHERE number = ?1");
    conn.prepare_cached(&update)?
        .execute(params![rowid, json, checksum])?;
    Ok(())
}

/// Deletes an existing document.
pub(crate) fn delete(
    conn: &Connection,
    foreign: &mut ForeignTables,
    document: &StoredDocument,
) -> rusqlite::Result<()> {
    let id = document.id;
    let rowid = match foreign.find_rowid(conn, id)? {
        Some(rowid) => {
            foreign::remove_entries(conn, document, rowid)?;
            rowid
        }
        None => rowid_of(id.internal),
    };
    let table = DocumentTable(id.table);
    let delete = format!("DELETE FROM {table} WHERE number = ?1");
    conn.prepare_cached(&delete)?.execute([rowid])?;
    Ok(())
}
