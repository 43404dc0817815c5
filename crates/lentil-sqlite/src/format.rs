//! The file's format.
//!
//! ```text
//! _documents      number, json                the document, `_id` and `_creationTime` included
//! _index_entries  index_id, key, document     declared indexes; a key's last 16 bytes are the id
//!                                             `by_id`, under minus the table's number; a key is the id
//! _meta           name, value                 `timestamp` of the last commit, the `catalog`
//! ```
//!
//! Documents stand in a tree by small numbers, so that what leads to them stays small however large they are: were
//! they in the tree of their ids, its inner pages would hold documents too. `by_creation_time` has no entries, for
//! internal ids begin with the creation time. Names begin with `_`, which no table of an application can; each of
//! those is a view.

use lentil_store::{Catalog, StoreError, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::entries::by_id;
use crate::error::store_error;

/// `Lntl`, in the file's header: whose file it is.
pub(crate) const APPLICATION_ID: u32 = 0x4c6e_746c;
/// The format that this version reads and writes.
pub(crate) const FORMAT_VERSION: u32 = 2;

const TABLES: &str = "
    CREATE TABLE _documents (number INTEGER PRIMARY KEY, json TEXT NOT NULL);
    CREATE TABLE _index_entries (
        index_id INTEGER NOT NULL,
        key BLOB NOT NULL,
        document INTEGER NOT NULL,
        PRIMARY KEY (index_id, key)
    ) WITHOUT ROWID;
";
const META: &str = "CREATE TABLE _meta (name TEXT PRIMARY KEY, value ANY NOT NULL) WITHOUT ROWID";

/// Makes a new database, with its bootstrap commit, at `timestamp`.
pub(crate) fn create(conn: &Connection, timestamp: Timestamp) -> rusqlite::Result<()> {
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    write_version(conn)?;
    create_tables(conn)?;
    conn.execute_batch(META)?;
    write_timestamp(conn, timestamp)?;
    write_meta(conn, "catalog", Catalog::default().to_json().to_string())
}

/// Makes the tables of documents and entries.
pub(crate) fn create_tables(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(TABLES)
}

pub(crate) fn read_version(conn: &Connection) -> rusqlite::Result<u32> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

pub(crate) fn write_version(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "user_version", FORMAT_VERSION)
}

pub(crate) fn read_timestamp(conn: &Connection) -> rusqlite::Result<Timestamp> {
    let mut statement = conn.prepare_cached("SELECT value FROM _meta WHERE name = 'timestamp'")?;
    statement.query_row([], |row| row.get::<_, i64>(0)).map(|nanos| Timestamp::from_nanos(nanos as u64))
}

pub(crate) fn write_timestamp(conn: &Connection, timestamp: Timestamp) -> rusqlite::Result<()> {
    write_meta(conn, "timestamp", timestamp.as_nanos() as i64)
}

pub(crate) fn read_catalog(conn: &Connection) -> Result<Catalog, StoreError> {
    let text = read_meta(conn, "catalog").map_err(store_error)?.unwrap_or_default();
    let json = serde_json::from_str(&text).map_err(|error| StoreError::Corrupt(format!("the catalog: {error}")))?;
    Catalog::from_json(&json)
}

/// Writes the catalog, and a view for each table so that a person finds it.
pub(crate) fn write_catalog(conn: &Connection, catalog: &Catalog) -> rusqlite::Result<()> {
    write_meta(conn, "catalog", catalog.to_json().to_string())?;
    // SQLite keeps these names for itself; such a table is read in `_documents`.
    let is_free = |name: &str| !name.to_ascii_lowercase().starts_with("sqlite_");
    catalog.tables.iter().filter(|(name, _)| is_free(name)).try_for_each(|(name, table)| {
        let index = by_id(table.number);
        let view = format!(
            "CREATE VIEW IF NOT EXISTS \"{name}\" AS SELECT json ->> '$._id' AS _id, json
             FROM _index_entries CROSS JOIN _documents ON number = document WHERE index_id = {index} ORDER BY key"
        );
        conn.execute_batch(&view)
    })
}

pub(crate) fn read_meta(conn: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let mut statement = conn.prepare_cached("SELECT value FROM _meta WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

pub(crate) fn write_meta(conn: &Connection, name: &str, value: impl rusqlite::ToSql) -> rusqlite::Result<()> {
    let upsert =
        "INSERT INTO _meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    conn.prepare_cached(upsert)?.execute(params![name, value]).map(drop)
}

pub(crate) fn delete_meta(conn: &Connection, name: &str) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM _meta WHERE name = ?1", [name]).map(drop)
}
