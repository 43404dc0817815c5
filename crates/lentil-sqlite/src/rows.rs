//! Documents and index entries, one by one.

use std::str::FromStr;
use std::sync::Arc;

use lentil_store::{IndexId, IndexRef, StoreError, StoredDocument, WriteSet};
use lentil_values::{DocumentId, FieldName, IndexKey, JsonForm, Object, Value};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::store_error;

pub(crate) fn get(conn: &Connection, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError> {
    let sql = "SELECT json FROM _documents WHERE table_number = ?1 AND id = ?2";
    let mut statement = conn.prepare_cached(sql).map_err(store_error)?;
    let json = statement.query_row(params![id.table.get(), id.internal.as_bytes()], |row| row.get::<_, String>(0));
    json.optional().map_err(store_error)?.map(|json| decode(&json)).transpose()
}

/// Applies a write set; returns about how many bytes that wrote.
pub(crate) fn apply(conn: &Connection, writes: &WriteSet) -> rusqlite::Result<usize> {
    let mut bytes = 0;
    for write in &writes.writes {
        let id = write.id;
        match &write.new {
            Some(document) => {
                let json = encode(document);
                bytes += json.len();
                let upsert = "INSERT INTO _documents (table_number, id, json) VALUES (?1, ?2, ?3)
                     ON CONFLICT (table_number, id) DO UPDATE SET json = excluded.json";
                conn.prepare_cached(upsert)?.execute(params![id.table.get(), id.internal.as_bytes(), json])?;
            }
            None => {
                let delete = "DELETE FROM _documents WHERE table_number = ?1 AND id = ?2";
                conn.prepare_cached(delete)?.execute(params![id.table.get(), id.internal.as_bytes()])?;
            }
        }
        for change in write.keys.iter().filter(|change| change.old != change.new) {
            let IndexRef::Declared(index) = change.index else { continue };
            if let Some(key) = &change.old {
                remove_entry(conn, index, key)?;
            }
            if let Some(key) = &change.new {
                bytes += key.as_bytes().len();
                insert_entry(conn, index, key)?;
            }
        }
    }
    Ok(bytes)
}

pub(crate) fn insert_entry(conn: &Connection, index: IndexId, key: &IndexKey) -> rusqlite::Result<()> {
    let insert = "INSERT OR IGNORE INTO _index_entries (index_id, key) VALUES (?1, ?2)";
    conn.prepare_cached(insert)?.execute(params![index.0, key.as_bytes()]).map(drop)
}

fn remove_entry(conn: &Connection, index: IndexId, key: &IndexKey) -> rusqlite::Result<()> {
    let delete = "DELETE FROM _index_entries WHERE index_id = ?1 AND key = ?2";
    conn.prepare_cached(delete)?.execute(params![index.0, key.as_bytes()]).map(drop)
}

const ID: FieldName = FieldName::from_static("_id");
const CREATION_TIME: FieldName = FieldName::from_static("_creationTime");

fn encode(document: &StoredDocument) -> String {
    let mut object = document.fields.clone();
    object.insert(ID, Value::String(document.id.to_string()));
    object.insert(CREATION_TIME, Value::Float64(document.creation_time));
    object.to_json(JsonForm::Encoded)
}

pub(crate) fn decode(json: &str) -> Result<Arc<StoredDocument>, StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt(format!("a stored document: {reason}"));
    let value = Value::parse_json(json.as_bytes()).map_err(|error| corrupt(error.to_string()))?;
    let Value::Object(mut fields) = value else { return Err(corrupt("it is no object".to_owned())) };
    read_system_fields(&mut fields)
        .map(|(id, creation_time)| Arc::new(StoredDocument { id, creation_time, fields }))
        .ok_or_else(|| corrupt("its `_id` or `_creationTime` is missing or malformed".to_owned()))
}

fn read_system_fields(fields: &mut Object) -> Option<(DocumentId, f64)> {
    let id = fields.remove("_id")?;
    let creation_time = fields.remove("_creationTime")?.as_f64()?;
    Some((DocumentId::from_str(id.as_str()?).ok()?, creation_time))
}
