//! A database for unit tests.

use std::path::PathBuf;
use std::sync::Arc;

use lentil_store::{StoredDocument, Timestamp};
use lentil_values::{DocumentId, FieldName, InternalId, Object, TableNumber, Value};
use rusqlite::Connection;
use tempfile::TempDir;

use super::document_table::DocumentTable;
use super::format;
use crate::connection;

/// A new database with an empty document table of [`TableNumber::FIRST_USER`].
pub(crate) struct Database {
    /// Exists until it is dropped.
    pub(crate) folder: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) conn: Connection,
}

pub(crate) fn database() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(crate::files::DATABASE);
    let conn = Connection::open(&path).unwrap();
    format::create(&conn, Timestamp::MIN).unwrap();
    drop(conn);
    let conn = connection::writer(&path).unwrap();
    DocumentTable(TableNumber::FIRST_USER)
        .create(&conn)
        .unwrap();
    Database { folder, path, conn }
}

/// Returns a document that was created at `time` and has the field `n`.
pub(crate) fn document(time: u64, n: i64) -> Arc<StoredDocument> {
    let creation_time = time as f64;
    let id = DocumentId {
        table: TableNumber::FIRST_USER,
        internal: InternalId::at(creation_time, time),
    };
    let fields = Object::from_iter([(FieldName::from_static("n"), Value::Int64(n))]);
    Arc::new(StoredDocument {
        id,
        creation_time,
        fields,
    })
}
