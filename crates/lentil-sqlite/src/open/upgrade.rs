//! Upgrading a file of an older format in one transaction.
//!
//! ```text
//! format 1   _documents       table_number, id, json
//!            _index_entries   index_id, key
//!
//! format 2   _documents       number, json                in the order of creation
//!            _index_entries   index_id, key, document     `by_id` too, under minus the table number
//!
//! format 3   _meta            the timestamp is that of the last commit; each commit writes it
//!
//! format 4   _documents_<n>   number, json
//! ```
//!
//! Formats 1 and 2 are rewritten. Formats 3 and 4 get a column, which takes no longer for a large
//! file. Earlier versions refuse the upgraded file, so a copy of a file up to 1 GiB is kept beside
//! it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use lentil_store::Catalog;
use lentil_values::{DocumentId, InternalId, TableNumber};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, Result, params};

use crate::files;
use crate::tables::document_table::DocumentTable;
use crate::tables::foreign::ForeignTables;
use crate::tables::format::{self, FORMAT_VERSION};
use crate::tables::rowid::rowid_of;
use crate::tables::{documents, row};

/// The size of a database and its log up to which a copy is kept, in bytes.
const COPY_LIMIT: u64 = 1 << 30;

const DOCUMENTS_1: &str = "SELECT table_number, id, json FROM _documents ORDER BY table_number, id";
const DOCUMENTS_2: &str =
    "SELECT -index_id, key, json FROM _old_entries CROSS JOIN _documents ON number = document
    WHERE index_id < 0 ORDER BY index_id, key";

/// Copies a database of an older format into a folder beside it, unless it is large.
///
/// It must run before any connection is open: closing the copied file drops the POSIX locks of a
/// connection.
///
/// # Errors
/// An I/O error; the partial copy is removed.
pub(crate) fn keep_copy(database: &Path, version: u32) -> io::Result<()> {
    if version >= FORMAT_VERSION {
        return Ok(());
    }
    let files = [database.to_owned(), files::wal(database)];
    let files: Vec<PathBuf> = files.into_iter().filter(|file| file.exists()).collect();
    let mut size = 0;
    for file in &files {
        size += fs::metadata(file)?.len();
    }
    if size > COPY_LIMIT {
        tracing::warn!(
            "upgrading the database to format {FORMAT_VERSION}, which earlier versions refuse; \
             no copy is kept, because the database is larger than 1 GiB"
        );
        return Ok(());
    }
    let folder = database.parent().unwrap_or(Path::new("."));
    let new = folder.join("format.new");
    let copied = copy_to(&files, &new).and_then(|()| name_copy(folder, &new, version));
    match copied {
        Ok(copy) => {
            tracing::info!(
                copy = %copy.display(),
                "upgrading the database to format {FORMAT_VERSION}, which earlier versions refuse; \
                 a copy is kept for them"
            );
            Ok(())
        }
        Err(error) => {
            let _ = fs::remove_dir_all(&new);
            Err(error)
        }
    }
}

fn copy_to(files: &[PathBuf], new: &Path) -> io::Result<()> {
    // A start that failed may have left a partial copy.
    if new.exists() {
        fs::remove_dir_all(new)?;
    }
    DirBuilder::new().mode(0o700).create(new)?;
    for file in files {
        let copy = new.join(file.file_name().unwrap_or_default());
        fs::copy(file, &copy)?;
        File::open(copy)?.sync_all()?;
    }
    File::open(new)?.sync_all()
}

/// Renames a finished copy after its format. A number distinguishes it from earlier copies.
fn name_copy(folder: &Path, new: &Path, version: u32) -> io::Result<PathBuf> {
    let mut copy = folder.join(format!("format-{version}"));
    let mut count = 1;
    while copy.exists() {
        count += 1;
        copy = folder.join(format!("format-{version}-{count}"));
    }
    // After the contents are durable: a copy with its final name is complete.
    fs::rename(new, &copy)?;
    File::open(folder)?.sync_all()?;
    Ok(copy)
}

/// Upgrades an accepted file to the current format.
pub(crate) fn upgrade(conn: &Connection, catalog: &Catalog) -> Result<()> {
    match format::read_version(conn)? {
        FORMAT_VERSION => Ok(()),
        3 | 4 => add_checksums(conn, catalog),
        version => rewrite(conn, catalog, version),
    }
}

/// Adds the checksum column to each table. The background verification adds the checksums.
fn add_checksums(conn: &Connection, catalog: &Catalog) -> Result<()> {
    let transaction = conn.unchecked_transaction()?;
    for table in catalog.tables.values() {
        let table = DocumentTable(table.number);
        transaction.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN checksum INTEGER"))?;
    }
    format::write_catalog(conn, catalog)?;
    format::write_version(conn)?;
    transaction.commit()
}

/// Rewrites format 1 or 2. This takes about a minute for ten million documents.
fn rewrite(conn: &Connection, catalog: &Catalog, version: u32) -> Result<()> {
    tracing::info!(
        to = FORMAT_VERSION,
        "rewriting the database in a newer format, which takes a minute for ten million documents"
    );
    // Otherwise RENAME fails if a person has created a view that uses the table.
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
        format::create_index_entries(conn)?;
        copy_documents(conn, DOCUMENTS_2)?;
        copy_entries(conn)?;
        transaction.execute_batch("DROP TABLE _old_entries")?;
    }
    // The build of an unfinished index starts from the beginning.
    transaction
        .execute_batch("DROP TABLE _documents; DELETE FROM _meta WHERE name LIKE 'built %'")?;
    format::write_version(conn)?;
    transaction.commit()?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, false)?;
    Ok(())
}

fn copy_documents(conn: &Connection, select: &str) -> Result<()> {
    let mut foreign = ForeignTables::default();
    let mut select = conn.prepare(select)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let table = TableNumber::new(row.get(0)?).ok_or(Error::IntegralValueOutOfRange(0, 0))?;
        let id = DocumentId {
            table,
            internal: InternalId(row.get(1)?),
        };
        let json = row.get_ref(2)?.as_str()?;
        match row::decode(json.as_bytes()) {
            Ok(document) if document.id == id => {
                documents::insert(conn, &mut foreign, &document, json)?;
            }
            _ => copy_damaged(conn, id, json)?,
        }
    }
    Ok(())
}

/// Copies a document that cannot be read, so that later reads report it as damaged.
fn copy_damaged(conn: &Connection, id: DocumentId, json: &str) -> Result<()> {
    let table = DocumentTable(id.table);
    let insert = format!("INSERT INTO {table} (number, json) VALUES (?1, ?2)");
    conn.execute(&insert, params![rowid_of(id.internal), json])?;
    Ok(())
}

fn copy_entries(conn: &Connection) -> Result<()> {
    let copy = "INSERT INTO _index_entries SELECT index_id, key FROM _old_entries \
                WHERE index_id > 0 ORDER BY index_id, key";
    conn.execute_batch(copy)
}
