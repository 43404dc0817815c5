//! Bringing a file of an older format to this one, whole or not at all.
//!
//! ```text
//! format 1   _documents       table_number, id, json
//!            _index_entries   index_id, key
//!
//! format 2   _documents       number, json                in the order in which they were made
//!            _index_entries   index_id, key, document     `by_id` too, under minus the table's number
//!
//! format 3   _meta            the timestamp is the last commit's, and written with each
//! ```

use lentil_store::Catalog;
use lentil_values::{DocumentId, InternalId, TableNumber};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, Result};

use crate::documents;
use crate::format::{self, FORMAT_VERSION};

const DOCUMENTS_1: &str = "SELECT table_number, id, json FROM _documents ORDER BY table_number, id";
const DOCUMENTS_2: &str =
    "SELECT -index_id, key, json FROM _old_entries CROSS JOIN _documents ON number = document
    WHERE index_id < 0 ORDER BY index_id, key";

/// Brings an accepted file to this version's format, if it is older.
pub(crate) fn upgrade(conn: &Connection, catalog: &Catalog) -> Result<()> {
    match format::read_version(conn)? {
        FORMAT_VERSION => Ok(()),
        3 => format::write_version(conn),
        version => rewrite(conn, catalog, version),
    }
}

/// Copies documents and entries from format 1 or 2. About a minute for ten million documents.
fn rewrite(conn: &Connection, catalog: &Catalog, version: u32) -> Result<()> {
    tracing::info!(
        to = FORMAT_VERSION,
        "rewriting the database in a newer format; a large one takes a while"
    );
    // Renaming a table is not to look at views, of which a person may have made some.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, true)?;
    let transaction = conn.unchecked_transaction()?;
    for name in catalog.tables.keys() {
        transaction.execute_batch(&format!("DROP VIEW IF EXISTS \"{name}\""))?;
    }
    format::write_catalog(conn, catalog)?;
    if version == 1 {
        copy_documents(conn, DOCUMENTS_1)?;
    } else {
        transaction.execute_batch("ALTER TABLE _index_entries RENAME TO _old_entries")?;
        copy_documents(conn, DOCUMENTS_2)?;
        copy_entries(conn)?;
        transaction.execute_batch("DROP TABLE _old_entries")?;
    }
    // An index that was half built is begun anew.
    transaction
        .execute_batch("DROP TABLE _documents; DELETE FROM _meta WHERE name LIKE 'built %'")?;
    format::write_version(conn)?;
    transaction.commit()?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, false)
        .map(drop)
}

fn copy_documents(conn: &Connection, select: &str) -> Result<()> {
    let mut select = conn.prepare(select)?;
    let mut documents = select.query([])?;
    while let Some(row) = documents.next()? {
        let table = TableNumber::new(row.get(0)?).ok_or(Error::IntegralValueOutOfRange(0, 0))?;
        let id = DocumentId {
            table,
            internal: InternalId(row.get(1)?),
        };
        documents::insert(conn, id, row.get_ref(2)?.as_str()?)?;
    }
    Ok(())
}

fn copy_entries(conn: &Connection) -> Result<()> {
    format::create_index_entries(conn)?;
    let copy = "INSERT INTO _index_entries SELECT index_id, key FROM _old_entries WHERE index_id > 0 ORDER BY index_id, key";
    conn.execute_batch(copy)
}
