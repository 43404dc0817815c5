//! The format of the database file.
//!
//! ```text
//! _documents_<n>    number, json, checksum    the documents of the table with the number n
//! _index_entries    index_id, key             entries of indexes; a key ends with the 16-byte id
//! _meta             name, value
//!    timestamp                                the timestamp lease
//!    catalog, catalog_checksum                tables and indexes
//!    run                                      the number of the last server's run
//!    accepted time                            up to which commits may be ahead of the clock
//!    steps <index>                            the progress of an unfinished index
//! ```
//!
//! The column `number` is the rowid; the first eight bytes of a document's id give it (`rowid`). So
//! an id finds its document without an index, new documents append to their table, and `by_id` and
//! `by_creation_time` need no entries. Documents of other databases have entries in both
//! (`foreign`).
//!
//! The checksum is a CRC-32C of the table's number, the rowid and the JSON; NULL means "not
//! verified" (`row`). All names begin with `_`, which an application's table cannot. Each table of
//! the application is a view, so that a person can read it with `sqlite3`.

use lentil_store::{Catalog, StoreError, Timestamp};
use lentil_values::{TableNames, TableNumber};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::document_table::{COLUMNS, DocumentTable};
use crate::error::store_error;

/// `Lntl` in the file's header, which marks a database of Lentil.
pub(crate) const APPLICATION_ID: u32 = 0x4c6e_746c;
/// The format that this version reads and writes.
pub(crate) const FORMAT_VERSION: u32 = 5;

const CATALOG: &str = "catalog";
const CATALOG_CHECKSUM: &str = "catalog_checksum";
const TIMESTAMP_LEASE: &str = "timestamp";
const ACCEPTED_TIME: &str = "accepted time";
const RUN: &str = "run";

const CREATE_INDEX_ENTRIES: &str = "CREATE TABLE _index_entries \
    (index_id INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (index_id, key)) WITHOUT ROWID";
const CREATE_META: &str =
    "CREATE TABLE _meta (name TEXT PRIMARY KEY, value ANY NOT NULL) WITHOUT ROWID";

/// Creates a new database with an empty catalog. Its timestamp lease ends at `timestamp`.
pub(crate) fn create(conn: &Connection, timestamp: Timestamp) -> rusqlite::Result<()> {
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    write_version(conn)?;
    create_index_entries(conn)?;
    conn.execute_batch(CREATE_META)?;
    write_timestamp_lease(conn, timestamp)?;
    write_catalog_text(conn, &Catalog::default())
}

/// Creates the table of index entries.
pub(crate) fn create_index_entries(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(CREATE_INDEX_ENTRIES)
}

pub(crate) fn read_version(conn: &Connection) -> rusqlite::Result<u32> {
    conn.prepare_cached("PRAGMA user_version")?
        .query_row([], |row| row.get(0))
}

pub(crate) fn write_version(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "user_version", FORMAT_VERSION)
}

/// Returns the end of the timestamp lease. No commit in the file has a greater timestamp.
pub(crate) fn read_timestamp_lease(conn: &Connection) -> rusqlite::Result<Timestamp> {
    read_timestamp(conn, TIMESTAMP_LEASE)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

pub(crate) fn write_timestamp_lease(conn: &Connection, end: Timestamp) -> rusqlite::Result<()> {
    write_timestamp(conn, TIMESTAMP_LEASE, end)
}

/// Returns the time up to which an operator has accepted commits that are ahead of the clock.
pub(crate) fn read_accepted_time(conn: &Connection) -> rusqlite::Result<Timestamp> {
    Ok(read_timestamp(conn, ACCEPTED_TIME)?.unwrap_or(Timestamp::MIN))
}

pub(crate) fn write_accepted_time(conn: &Connection, time: Timestamp) -> rusqlite::Result<()> {
    write_timestamp(conn, ACCEPTED_TIME, time)
}

/// Returns the number of the last server's run.
pub(crate) fn read_run(conn: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    read_timestamp(conn, RUN)
}

pub(crate) fn write_run(conn: &Connection, run: Timestamp) -> rusqlite::Result<()> {
    write_timestamp(conn, RUN, run)
}

fn read_timestamp(conn: &Connection, name: &str) -> rusqlite::Result<Option<Timestamp>> {
    let nanos: Option<i64> = read_meta(conn, name)?;
    Ok(nanos.map(|nanos| Timestamp::from_nanos(nanos as u64)))
}

fn write_timestamp(conn: &Connection, name: &str, timestamp: Timestamp) -> rusqlite::Result<()> {
    write_meta(conn, name, timestamp.as_nanos() as i64)
}

/// Reads the catalog, and verifies its checksum.
pub(crate) fn read_catalog(conn: &Connection) -> Result<Catalog, StoreError> {
    let text: Option<String> = read_meta(conn, CATALOG).map_err(store_error)?;
    let text = text.unwrap_or_default();
    // Formats before 5 have no checksum.
    let checksum: Option<u32> = read_meta(conn, CATALOG_CHECKSUM).map_err(store_error)?;
    if checksum.is_some_and(|checksum| checksum != crc32c::crc32c(text.as_bytes())) {
        let what = "the catalog's checksum does not match";
        return Err(StoreError::Corrupt(what.to_owned()));
    }
    let json = serde_json::from_str(&text)
        .map_err(|error| StoreError::Corrupt(format!("the catalog: {error}")))?;
    Catalog::from_json(&json)
}

/// Writes the catalog, and creates the document table and the view of each table that has none.
pub(crate) fn write_catalog(conn: &Connection, catalog: &Catalog) -> rusqlite::Result<()> {
    write_catalog_text(conn, catalog)?;
    for (name, table) in &catalog.tables {
        DocumentTable(table.number).create(conn)?;
        create_view(conn, name, table.number, "number")?;
    }
    Ok(())
}

fn write_catalog_text(conn: &Connection, catalog: &Catalog) -> rusqlite::Result<()> {
    let text = catalog.to_json().to_string();
    write_meta(conn, CATALOG_CHECKSUM, crc32c::crc32c(text.as_bytes()))?;
    write_meta(conn, CATALOG, text)
}

/// Creates a view of a table's documents in this order, unless the table has a view.
fn create_view(
    conn: &Connection,
    name: &str,
    table: TableNumber,
    order: &str,
) -> rusqlite::Result<()> {
    // SQLite reserves these names. Such a table has no view.
    if name.to_ascii_lowercase().starts_with("sqlite_") {
        return Ok(());
    }
    let table = DocumentTable(table);
    conn.execute_batch(&format!(
        "CREATE VIEW IF NOT EXISTS \"{name}\" AS \
         SELECT json ->> '$._id' AS _id, json FROM {table} ORDER BY {order}"
    ))
}

/// Recreates the view of a table so that it orders by creation time. A table with foreign documents
/// needs this: their rowids do not follow their creation times.
pub(crate) fn order_view_by_creation_time(
    conn: &Connection,
    table: TableNumber,
) -> rusqlite::Result<()> {
    let catalog = read_catalog(conn).unwrap_or_default();
    let Some(name) = catalog.name(table) else {
        return Ok(());
    };
    conn.execute_batch(&format!("DROP VIEW IF EXISTS \"{name}\""))?;
    let order = "json ->> '$._creationTime', json ->> '$._id'";
    create_view(conn, name, table, order)
}

/// Checks that the file has the document table of each table, and the table of index entries.
///
/// # Errors
/// [`StoreError::Corrupt`] if one is missing. Without this check its documents would seem to be
/// deleted.
pub(crate) fn check_tables(conn: &Connection, catalog: &Catalog) -> Result<(), StoreError> {
    for (name, table) in &catalog.tables {
        let document_table = DocumentTable(table.number);
        if let Err(error) = conn.prepare(&format!("SELECT {COLUMNS} FROM {document_table}")) {
            let what = format!("the documents of the table `{name}` cannot be found: {error}");
            return Err(StoreError::Corrupt(what));
        }
    }
    if let Err(error) = conn.prepare("SELECT index_id, key FROM _index_entries") {
        let what = format!("the index entries cannot be found: {error}");
        return Err(StoreError::Corrupt(what));
    }
    Ok(())
}

pub(crate) fn read_meta<T: FromSql>(conn: &Connection, name: &str) -> rusqlite::Result<Option<T>> {
    let mut select = conn.prepare_cached("SELECT value FROM _meta WHERE name = ?1")?;
    select.query_row([name], |row| row.get(0)).optional()
}

pub(crate) fn write_meta(conn: &Connection, name: &str, value: impl ToSql) -> rusqlite::Result<()> {
    let upsert = "INSERT INTO _meta (name, value) VALUES (?1, ?2) \
                  ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    conn.prepare_cached(upsert)?.execute(params![name, value])?;
    Ok(())
}

pub(crate) fn delete_meta(conn: &Connection, name: &str) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM _meta WHERE name = ?1", [name])?;
    Ok(())
}
