//! The statements that read and write documents and index entries.

use std::str::FromStr;
use std::sync::Arc;

use lentil_store::{Catalog, IndexId, IndexRef, Order, Row, StoreError, StoredDocument, WriteSet};
use lentil_values::{DocumentId, FieldName, IndexKey, InternalId, Interval, JsonForm, Object, TableNumber, Value};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::store_error;
use crate::time_index;

pub(crate) fn get(conn: &Connection, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError> {
    let sql = "SELECT json FROM _documents WHERE table_number = ?1 AND id = ?2";
    let mut statement = conn.prepare_cached(sql).map_err(store_error)?;
    let json = statement.query_row(params![id.table.get(), id.internal.as_bytes()], |row| row.get::<_, String>(0));
    json.optional().map_err(store_error)?.map(|json| decode(&json)).transpose()
}

pub(crate) fn scan(
    conn: &Connection,
    catalog: &Catalog,
    index: IndexRef,
    interval: &Interval,
    order: Order,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    if interval.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    match index {
        IndexRef::ById(table) => {
            scan_documents(conn, table, interval, order, limit, |id| IndexKey::from_bytes(id.as_bytes().to_vec()))
        }
        IndexRef::ByCreationTime(table) => {
            scan_documents(conn, table, &time_index::ids(interval), order, limit, time_index::key)
        }
        IndexRef::Declared(index) => scan_entries(conn, catalog, index, interval, order, limit),
    }
}

fn scan_documents(
    conn: &Connection,
    table: TableNumber,
    ids: &Interval,
    order: Order,
    limit: usize,
    key: impl Fn(InternalId) -> IndexKey,
) -> Result<Vec<Row>, StoreError> {
    let select = "SELECT json FROM _documents WHERE table_number = ?1";
    let sql = format!("{select}{}", range_sql("id", ids, order));
    let mut statement = conn.prepare_cached(&sql).map_err(store_error)?;
    let (limit, table) = (limit.min(i64::MAX as usize) as i64, table.get());
    let mut rows = match &ids.end {
        Some(end) => statement.query(params![table, limit, ids.start, end]),
        None => statement.query(params![table, limit, ids.start]),
    }
    .map_err(store_error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        let document = decode(row.get_ref(0).and_then(|json| Ok(json.as_str()?)).map_err(store_error)?)?;
        found.push(Row { key: key(document.id.internal), document });
    }
    Ok(found)
}

fn scan_entries(
    conn: &Connection,
    catalog: &Catalog,
    index: IndexId,
    keys: &Interval,
    order: Order,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let Some((_, table, _)) = catalog.find_index(index) else { return Ok(Vec::new()) };
    // CROSS JOIN keeps the entries the outer loop: their order is the result's.
    let select = format!(
        "SELECT entry.key, document.json FROM _index_entries AS entry CROSS JOIN _documents AS document
         ON document.table_number = {} AND document.id = substr(entry.key, -16) WHERE entry.index_id = ?1",
        table.number
    );
    let sql = format!("{select}{}", range_sql("entry.key", keys, order));
    let mut statement = conn.prepare_cached(&sql).map_err(store_error)?;
    let limit = limit.min(i64::MAX as usize) as i64;
    let mut rows = match &keys.end {
        Some(end) => statement.query(params![index.0, limit, keys.start, end]),
        None => statement.query(params![index.0, limit, keys.start]),
    }
    .map_err(store_error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        let document = decode(row.get_ref(1).and_then(|json| Ok(json.as_str()?)).map_err(store_error)?)?;
        let key = IndexKey::from_bytes(row.get(0).map_err(store_error)?);
        found.push(Row { key, document });
    }
    Ok(found)
}

/// The rest of a statement whose `?2` is the limit, `?3` the interval's start and `?4` its end, if it has one.
fn range_sql(column: &str, interval: &Interval, order: Order) -> String {
    let end = if interval.end.is_some() { format!(" AND {column} < ?4") } else { String::new() };
    let direction = if order == Order::Asc { "ASC" } else { "DESC" };
    format!(" AND {column} >= ?3{end} ORDER BY {column} {direction} LIMIT ?2")
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

fn decode(json: &str) -> Result<Arc<StoredDocument>, StoreError> {
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
