//! The file's format.
//!
//! ```text
//! _documents_<table number>  number, json     the documents of a table, `_id` and `_creationTime` included
//! _index_entries             index_id, key    declared indexes; a key's last 16 bytes are the id
//! _meta                      name, value      `timestamp`, which no commit is above, and the `catalog`
//! ```
//!
//! A document's number is made of the first eight bytes of its id (`numbers`). So an id is all it takes to find a
//! document, documents append to their table, what leads to them stays small however large they are, and `by_id` and
//! `by_creation_time` need no entries. Names begin with `_`, which no table of an application can; each of those is a
//! view.

use lentil_store::{Catalog, StoreError, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::documents::{Tree, create_tree};
use crate::error::store_error;

/// `Lntl`, in the file's header: whose file it is.
pub(crate) const APPLICATION_ID: u32 = 0x4c6e_746c;
/// The format that this version reads and writes.
pub(crate) const FORMAT_VERSION: u32 = 4;

const INDEX_ENTRIES: &str = "CREATE TABLE _index_entries (index_id INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (index_id, key)) WITHOUT ROWID";
const META: &str = "CREATE TABLE _meta (name TEXT PRIMARY KEY, value ANY NOT NULL) WITHOUT ROWID";

/// Makes a new database, with its bootstrap commit, at `timestamp`.
pub(crate) fn create(conn: &Connection, timestamp: Timestamp) -> rusqlite::Result<()> {
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    write_version(conn)?;
    create_index_entries(conn)?;
    conn.execute_batch(META)?;
    write_ceiling(conn, timestamp)?;
    write_meta(conn, "catalog", Catalog::default().to_json().to_string())
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

fn read_time(conn: &Connection, name: &str) -> rusqlite::Result<Option<Timestamp>> {
    let mut statement = conn.prepare_cached("SELECT value FROM _meta WHERE name = ?1")?;
    let nanos: Option<i64> = statement.query_row([name], |row| row.get(0)).optional()?;
    Ok(nanos.map(|nanos| Timestamp::from_nanos(nanos as u64)))
}

pub(crate) fn read_catalog(conn: &Connection) -> Result<Catalog, StoreError> {
    let text = read_meta(conn, "catalog")
        .map_err(store_error)?
        .unwrap_or_default();
    let json = serde_json::from_str(&text)
        .map_err(|error| StoreError::Corrupt(format!("the catalog: {error}")))?;
    Catalog::from_json(&json)
}

/// Whether the file has the tree of each table, and that of the index entries.
pub(crate) fn has_every_table(conn: &Connection, catalog: &Catalog) -> rusqlite::Result<bool> {
    let mut find =
        conn.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?;
    for table in catalog.tables.values() {
        if !find.exists([Tree(table.number).to_string()])? {
            return Ok(false);
        }
    }
    find.exists(["_index_entries"])
}

/// Writes the catalog; makes the tree of each table that has none, and a view so that a person finds it.
pub(crate) fn write_catalog(conn: &Connection, catalog: &Catalog) -> rusqlite::Result<()> {
    write_meta(conn, "catalog", catalog.to_json().to_string())?;
    catalog.tables.iter().try_for_each(|(name, table)| {
        create_tree(conn, table.number)?;
        // SQLite keeps these names for itself; such a table is read in its tree.
        if name.to_ascii_lowercase().starts_with("sqlite_") {
            return Ok(());
        }
        let tree = Tree(table.number);
        let view = format!(
            "CREATE VIEW IF NOT EXISTS \"{name}\" AS SELECT json ->> '$._id' AS _id, json FROM {tree} ORDER BY number"
        );
        conn.execute_batch(&view)
    })
}

pub(crate) fn read_meta(conn: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
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
