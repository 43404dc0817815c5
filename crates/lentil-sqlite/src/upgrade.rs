//! Bringing a file of an older format to this one, whole or not at all.
//!
//! Format 1 had documents in the tree of their ids, and entries without a document's number:
//!
//! ```text
//! _documents      table_number, id, json
//! _index_entries  index_id, key
//! ```

use lentil_store::Catalog;
use lentil_values::{DocumentId, InternalId, TableNumber};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, Result};

use crate::format::{self, FORMAT_VERSION};
use crate::rows;

/// Brings an accepted file to this version's format, if it is older.
pub(crate) fn upgrade(conn: &Connection, catalog: &Catalog) -> Result<()> {
    match format::read_version(conn)? {
        1 => from_format_1(conn, catalog),
        _ => Ok(()),
    }
}

/// About a minute for ten million documents.
fn from_format_1(conn: &Connection, catalog: &Catalog) -> Result<()> {
    tracing::info!(to = FORMAT_VERSION, "rewriting the database in a newer format; a large one takes a while");
    // Renaming a table is not to look at views, of which a person may have made some.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, true)?;
    let transaction = conn.unchecked_transaction()?;
    transaction.execute_batch(
        "ALTER TABLE _documents RENAME TO _old_documents; ALTER TABLE _index_entries RENAME TO _old_entries",
    )?;
    format::create_tables(conn)?;
    copy_documents(conn)?;
    for (name, table) in &catalog.tables {
        table.indexes.iter().try_for_each(|index| copy_entries(conn, table.number, index.id.0))?;
        transaction.execute_batch(&format!("DROP VIEW IF EXISTS \"{name}\""))?;
    }
    transaction.execute_batch("DROP TABLE _old_documents; DROP TABLE _old_entries")?;
    format::write_catalog(conn, catalog)?;
    format::write_version(conn)?;
    transaction.commit()?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, false).map(drop)
}

fn copy_documents(conn: &Connection) -> Result<()> {
    let mut select = conn.prepare("SELECT table_number, id, json FROM _old_documents ORDER BY table_number, id")?;
    let mut documents = select.query([])?;
    while let Some(row) = documents.next()? {
        let table = TableNumber::new(row.get(0)?).ok_or(Error::IntegralValueOutOfRange(0, 0))?;
        let id = DocumentId { table, internal: InternalId(row.get(1)?) };
        rows::insert(conn, id, row.get_ref(2)?.as_str()?)?;
    }
    Ok(())
}

fn copy_entries(conn: &Connection, table: TableNumber, index: u32) -> Result<()> {
    let mut select = conn.prepare("SELECT key, substr(key, -16) FROM _old_entries WHERE index_id = ?1 ORDER BY key")?;
    let mut entries = select.query([index])?;
    while let Some(row) = entries.next()? {
        let id = DocumentId { table, internal: InternalId(row.get(1)?) };
        rows::insert_entry(conn, index.into(), row.get_ref(0)?.as_blob()?, rows::number_of(conn, id)?)?;
    }
    Ok(())
}
