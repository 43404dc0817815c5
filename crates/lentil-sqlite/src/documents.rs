//! Documents, one by one.

use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

use lentil_store::{StoreError, StoredDocument};
use lentil_values::{DocumentId, JsonForm, Object, TableNumber, Value};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::error::store_error;
use crate::numbers::number_of;

/// The name of the tree that has a table's documents.
#[derive(Clone, Copy)]
pub(crate) struct Tree(pub(crate) TableNumber);

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "_documents_{}", self.0)
    }
}

/// Makes the tree of a table, if it is not there.
pub(crate) fn create_tree(conn: &Connection, table: TableNumber) -> rusqlite::Result<()> {
    let tree = Tree(table);
    conn.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {tree} (number INTEGER PRIMARY KEY, json TEXT NOT NULL)"
    ))
}

/// Prepares a statement that reads a table's tree; `None` when there is no such table.
pub(crate) fn prepare<'c>(
    conn: &'c Connection,
    table: TableNumber,
    sql: &str,
) -> Result<Option<CachedStatement<'c>>, StoreError> {
    let error = match conn.prepare_cached(sql) {
        Ok(statement) => return Ok(Some(statement)),
        Err(error) => error,
    };
    let find = "SELECT 1 FROM sqlite_schema WHERE name = ?1";
    match conn
        .query_row(find, [Tree(table).to_string()], |_| Ok(()))
        .optional()
        .map_err(store_error)?
    {
        Some(()) => Err(store_error(error)),
        None => Ok(None),
    }
}

/// A look into a table's tree.
pub(crate) struct Documents<'c>(CachedStatement<'c>);

/// A document that was found, and how long its JSON is.
pub(crate) struct Found {
    pub(crate) document: Arc<StoredDocument>,
    pub(crate) bytes: usize,
}

impl<'c> Documents<'c> {
    /// `None` when there is no such table.
    pub(crate) fn of(
        conn: &'c Connection,
        table: TableNumber,
    ) -> Result<Option<Documents<'c>>, StoreError> {
        let sql = format!("SELECT json FROM {} WHERE number = ?1", Tree(table));
        Ok(prepare(conn, table, &sql)?.map(Documents))
    }

    /// The document of this number.
    pub(crate) fn at(&mut self, number: i64) -> Result<Option<Found>, StoreError> {
        let mut rows = self.0.query([number]).map_err(store_error)?;
        rows.next()
            .map_err(store_error)?
            .map(|row| read(row, 0))
            .transpose()
    }

    /// The document of this id.
    pub(crate) fn get(&mut self, id: DocumentId) -> Result<Option<Found>, StoreError> {
        Ok(self
            .at(number_of(id.internal))?
            .filter(|found| found.document.id == id))
    }
}

/// Reads the document whose JSON is in this column.
pub(crate) fn read(row: &rusqlite::Row<'_>, column: usize) -> Result<Found, StoreError> {
    let json = row.get_ref(column).map_err(store_error)?;
    let json = json
        .as_str()
        .map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(Found {
        document: decode(json)?,
        bytes: json.len(),
    })
}

pub(crate) fn get(
    conn: &Connection,
    id: DocumentId,
) -> Result<Option<Arc<StoredDocument>>, StoreError> {
    let Some(mut documents) = Documents::of(conn, id.table)? else {
        return Ok(None);
    };
    Ok(documents.get(id)?.map(|found| found.document))
}

/// Whether this is what is stored under an id; `None` is no document.
pub(crate) fn is_stored(
    conn: &Connection,
    id: DocumentId,
    document: Option<&StoredDocument>,
) -> Result<bool, StoreError> {
    let Some(Documents(mut select)) = Documents::of(conn, id.table)? else {
        return Ok(document.is_none());
    };
    let stored = select
        .query_row([number_of(id.internal)], |row| row.get::<_, String>(0))
        .optional();
    Ok(stored.map_err(store_error)? == document.map(encode))
}

pub(crate) fn insert(conn: &Connection, id: DocumentId, json: &str) -> rusqlite::Result<()> {
    let insert = format!(
        "INSERT INTO {} (number, json) VALUES (?1, ?2)",
        Tree(id.table)
    );
    conn.prepare_cached(&insert)?
        .execute(params![number_of(id.internal), json])
        .map(drop)
}

pub(crate) fn update(conn: &Connection, id: DocumentId, json: &str) -> rusqlite::Result<()> {
    let update = format!("UPDATE {} SET json = ?2 WHERE number = ?1", Tree(id.table));
    conn.prepare_cached(&update)?
        .execute(params![number_of(id.internal), json])
        .map(drop)
}

pub(crate) fn delete(conn: &Connection, id: DocumentId) -> rusqlite::Result<()> {
    let delete = format!("DELETE FROM {} WHERE number = ?1", Tree(id.table));
    conn.prepare_cached(&delete)?
        .execute([number_of(id.internal)])
        .map(drop)
}

pub(crate) fn encode(document: &StoredDocument) -> String {
    let StoredDocument {
        id,
        creation_time,
        fields,
    } = document;
    let mut json = Vec::with_capacity(fields.size() + fields.size() / 4 + 96);
    json.extend_from_slice(b"{\"_creationTime\":");
    Value::Float64(*creation_time).write_json(JsonForm::Encoded, &mut json);
    write!(json, ",\"_id\":\"{id}\"").expect("a buffer takes all");
    if !fields.is_empty() {
        json.push(b',');
        fields.write_fields(JsonForm::Encoded, &mut json);
    }
    json.push(b'}');
    String::from_utf8(json).expect("JSON is text")
}

fn decode(json: &str) -> Result<Arc<StoredDocument>, StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt(format!("a stored document: {reason}"));
    let value = Value::parse_json(json.as_bytes()).map_err(|error| corrupt(error.to_string()))?;
    let Value::Object(mut fields) = value else {
        return Err(corrupt("it is no object".to_owned()));
    };
    read_system_fields(&mut fields)
        .map(|(id, creation_time)| {
            Arc::new(StoredDocument {
                id,
                creation_time,
                fields,
            })
        })
        .ok_or_else(|| corrupt("its `_id` or `_creationTime` is missing or malformed".to_owned()))
}

fn read_system_fields(fields: &mut Object) -> Option<(DocumentId, f64)> {
    let id = fields.remove("_id")?;
    let creation_time = fields.remove("_creationTime")?.as_f64()?;
    Some((DocumentId::from_str(id.as_str()?).ok()?, creation_time))
}
