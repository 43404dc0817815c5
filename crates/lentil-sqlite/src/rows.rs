//! Documents and index entries, one by one.

use std::str::FromStr;
use std::sync::Arc;

use lentil_store::{IndexRef, StoreError, StoredDocument, WriteSet};
use lentil_values::{DocumentId, FieldName, JsonForm, Object, Value};
use rusqlite::{Connection, OptionalExtension, params};

use crate::entries::by_id;
use crate::error::store_error;

pub(crate) fn get(conn: &Connection, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError> {
    let sql = "SELECT json FROM _index_entries CROSS JOIN _documents ON number = document
         WHERE index_id = ?1 AND key = ?2";
    let mut statement = conn.prepare_cached(sql).map_err(store_error)?;
    let key = params![by_id(id.table), id.internal.as_bytes()];
    let json = statement.query_row(key, |row| row.get::<_, String>(0));
    json.optional().map_err(store_error)?.map(|json| decode(&json)).transpose()
}

/// Applies a write set; returns about how many bytes that wrote.
pub(crate) fn apply(conn: &Connection, writes: &WriteSet) -> rusqlite::Result<usize> {
    let mut bytes = 0;
    for write in &writes.writes {
        let json = write.new.as_ref().map(|document| encode(document));
        bytes += json.as_ref().map_or(0, String::len);
        let number = match (&write.old, json) {
            (None, Some(json)) => insert(conn, write.id, &json)?,
            (Some(_), Some(json)) => update(conn, write.id, &json)?,
            (_, None) => delete(conn, write.id)?,
        };
        for change in write.keys.iter().filter(|change| change.old != change.new) {
            let IndexRef::Declared(index) = change.index else { continue };
            if let Some(key) = &change.old {
                remove_entry(conn, index.0.into(), key.as_bytes())?;
            }
            if let Some(key) = &change.new {
                bytes += key.as_bytes().len();
                insert_entry(conn, index.0.into(), key.as_bytes(), number)?;
            }
        }
    }
    Ok(bytes)
}

/// Under which number the file has a document.
pub(crate) fn number_of(conn: &Connection, id: DocumentId) -> rusqlite::Result<i64> {
    let find = "SELECT document FROM _index_entries WHERE index_id = ?1 AND key = ?2";
    conn.prepare_cached(find)?.query_row(params![by_id(id.table), id.internal.as_bytes()], |row| row.get(0))
}

pub(crate) fn insert(conn: &Connection, id: DocumentId, json: &str) -> rusqlite::Result<i64> {
    let number = conn.prepare_cached("INSERT INTO _documents (json) VALUES (?1)")?.insert([json])?;
    insert_entry(conn, by_id(id.table), id.internal.as_bytes(), number)?;
    Ok(number)
}

fn update(conn: &Connection, id: DocumentId, json: &str) -> rusqlite::Result<i64> {
    let number = number_of(conn, id)?;
    conn.prepare_cached("UPDATE _documents SET json = ?2 WHERE number = ?1")?.execute(params![number, json])?;
    Ok(number)
}

fn delete(conn: &Connection, id: DocumentId) -> rusqlite::Result<i64> {
    let number = number_of(conn, id)?;
    remove_entry(conn, by_id(id.table), id.internal.as_bytes())?;
    conn.prepare_cached("DELETE FROM _documents WHERE number = ?1")?.execute([number])?;
    Ok(number)
}

pub(crate) fn insert_entry(conn: &Connection, index_id: i64, key: &[u8], document: i64) -> rusqlite::Result<()> {
    let insert = "INSERT INTO _index_entries (index_id, key, document) VALUES (?1, ?2, ?3)";
    conn.prepare_cached(insert)?.execute(params![index_id, key, document]).map(drop)
}

fn remove_entry(conn: &Connection, index_id: i64, key: &[u8]) -> rusqlite::Result<()> {
    let delete = "DELETE FROM _index_entries WHERE index_id = ?1 AND key = ?2";
    conn.prepare_cached(delete)?.execute(params![index_id, key]).map(drop)
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
