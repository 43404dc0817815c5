//! The file's format.
//!
//! ```text
//! _documents_<table number>  number, json, checksum  the documents of a table, `_id` and `_creationTime` included
//! _index_entries             index_id, key           declared indexes; a key's last 16 bytes are the id
//! _meta                      name, value             `timestamp`, which no commit is above; the `catalog` and its
//!                                                    `catalog_checksum`
//! ```
//!
//! A document's number is made of the first eight bytes of its id (`numbers`). So an id is all it takes to find a
//! document, documents append to their table, what leads to them stays small however large they are, and `by_id` and
//! `by_creation_time` need no entries. Documents of other databases have both (`foreign`). The checksum is a CRC-32C of
//! the table's number, the document's number and the JSON; NULL stands for "not verified" (`documents`). Names begin
//! with `_`, which no table of an application can; each of those is a view.

use lentil_store::{Catalog, StoreError, Timestamp};
use lentil_values::{TableNames, TableNumber};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::store_error;
use crate::tables::documents::{COLUMNS, Tree, create_tree};

/// `Lntl`, in the file's header: whose file it is.
pub(crate) const APPLICATION_ID: u32 = 0x4c6e_746c;
/// The format that this version reads and writes.
pub(crate) const FORMAT_VERSION: u32 = 5;

const CATALOG: &str = "catalog";
const CATALOG_CHECKSUM: &str = "catalog_checksum";

const INDEX_ENTRIES: &str = "CREATE TABLE _index_entries (index_id INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (index_id, key)) WITHOUT ROWID";
const META: &str = "CREATE TABLE _meta (name TEXT PRIMARY KEY, value ANY NOT NULL) WITHOUT ROWID";

/// Makes a new database, with its bootstrap commit, at `timestamp`.
pub(crate) fn create(conn: &Connection, timestamp: Timestamp) -> rusqlite::Result<()> {
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    write_version(conn)?;
    create_index_entries(conn)?;
    conn.execute_batch(META)?;
    write_ceiling(conn, timestamp)?;
    write_catalog_text(conn, &Catalog::default())
}

/// Makes the tree of index entries.
pub(crate) fn create_index_entries(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(INDEX_ENTRIES)
}

pub(crate) fn read_version(conn: &Connection) -> rusqlite::Result<u32> {
    conn.prepare_cached("PRAGMA user_version")?
        .query_row([], |row| row.get(0))
}

pub(crate) fn write_version(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "user_version", FORMAT_VERSION)
}

/// No commit in the file has a greater timestamp.
pub(crate) fn read_ceiling(conn: &Connection) -> rusqlite::Result<Timestamp> {
    read_time(conn, "timestamp")?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

pub(crate) fn write_ceiling(conn: &Connection, timestamp: Timestamp) -> rusqlite::Result<()> {
    write_meta(conn, "timestamp", timestamp.as_nanos() as i64)
}

/// The time up to which commits may be ahead of the clock, as someone has accepted.
pub(crate) fn read_accepted_time(conn: &Connection) -> rusqlite::Result<Timestamp> {
    Ok(read_time(conn, "accepted time")?.unwrap_or(Timestamp::MIN))
}

pub(crate) fn write_accepted_time(conn: &Connection, time: Timestamp) -> rusqlite::Result<()> {
    write_meta(conn, "accepted time", time.as_nanos() as i64)
}

/// The number of the last run of a server that wrote here.
pub(crate) fn read_run(conn: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    read_time(conn, "run")
}

pub(crate) fn write_run(conn: &Connection, run: Timestamp) -> rusqlite::Result<()> {
    write_meta(conn, "run", run.as_nanos() as i64)
}

fn read_time(conn: &Connection, name: &str) -> rusqlite::Result<Option<Timestamp>> {
    let mut statement = conn.prepare_cached("SELECT value FROM _meta WHERE name = ?1")?;
    let nanos: Option<i64> = statement.query_row([name], |row| row.get(0)).optional()?;
    Ok(nanos.map(|nanos| Timestamp::from_nanos(nanos as u64)))
}

/// Reads the catalog, and verifies it.
pub(crate) fn read_catalog(conn: &Connection) -> Result<Catalog, StoreError> {
    let text: String = read_meta(conn, CATALOG)
        .map_err(store_error)?
        .unwrap_or_default();
    let checksum: Option<u32> = read_meta(conn, CATALOG_CHECKSUM).map_err(store_error)?;
    if checksum.is_some_and(|checksum| checksum != crc32c::crc32c(text.as_bytes())) {
        let what = "the catalog's checksum does not match";
        return Err(StoreError::Corrupt(what.to_owned()));
    }
    let json = serde_json::from_str(&text)
        .map_err(|error| StoreError::Corrupt(format!("the catalog: {error}")))?;
    Catalog::from_json(&json)
}

/// Writes the catalog; makes the tree of each table that has none, and a view so that a person finds it.
pub(crate) fn write_catalog(conn: &Connection, catalog: &Catalog) -> rusqlite::Result<()> {
    write_catalog_text(conn, catalog)?;
    for (name, table) in &catalog.tables {
        create_tree(conn, table.number)?;
        create_view(conn, name, table.number, "number")?;
    }
    Ok(())
}

fn write_catalog_text(conn: &Connection, catalog: &Catalog) -> rusqlite::Result<()> {
    let text = catalog.to_json().to_string();
    write_meta(conn, CATALOG_CHECKSUM, crc32c::crc32c(text.as_bytes()))?;
    write_meta(conn, CATALOG, text)
}

/// Makes a view of a table's documents in this order, if the table has no view.
fn create_view(
    conn: &Connection,
    name: &str,
    table: TableNumber,
    order: &str,
) -> rusqlite::Result<()> {
    // SQLite keeps these names for itself; such a table is read in its tree.
    if name.to_ascii_lowercase().starts_with("sqlite_") {
        return Ok(());
    }
    let tree = Tree(table);
    conn.execute_batch(&format!(
        "CREATE VIEW IF NOT EXISTS \"{name}\" AS SELECT json ->> '$._id' AS _id, json FROM {tree} ORDER BY {order}"
    ))
}

/// Makes the view of a table whose numbers no longer order as its documents' creation times do.
pub(crate) fn show_by_creation_time(conn: &Connection, table: TableNumber) -> rusqlite::Result<()> {
    let catalog = read_catalog(conn).unwrap_or_default();
    let Some(name) = catalog.name(table) else {
        return Ok(());
    };
    conn.execute_batch(&format!("DROP VIEW IF EXISTS \"{name}\""))?;
    let order = "json ->> '$._creationTime', json ->> '$._id'";
    create_view(conn, name, table, order)
}

/// Checks that the file has the tree of each table, and that of the index entries.
///
/// # Errors
/// [`StoreError::Corrupt`] when one is gone. Its documents would seem never to have been there.
pub(crate) fn check_trees(conn: &Connection, catalog: &Catalog) -> Result<(), StoreError> {
    let gone =
        |what: &str, error| StoreError::Corrupt(format!("the {what} cannot be found: {error}"));
    for (name, table) in &catalog.tables {
        let tree = Tree(table.number);
        conn.prepare(&format!("SELECT {COLUMNS} FROM {tree}"))
            .map_err(|error| gone(&format!("documents of the table `{name}`"), error))?;
    }
    conn.prepare("SELECT index_id, key FROM _index_entries")
        .map_err(|error| gone("index entries", error))?;
    Ok(())
}

pub(crate) fn read_meta<T: FromSql>(conn: &Connection, name: &str) -> rusqlite::Result<Option<T>> {
    let mut statement = conn.prepare_cached("SELECT value FROM _meta WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

pub(crate) fn write_meta(
    conn: &Connection,
    name: &str,
    value: impl rusqlite::ToSql,
) -> rusqlite::Result<()> {
    let upsert = "INSERT INTO _meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    conn.prepare_cached(upsert)?
        .execute(params![name, value])
        .map(drop)
}

pub(crate) fn delete_meta(conn: &Connection, name: &str) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM _meta WHERE name = ?1", [name])
        .map(drop)
}
