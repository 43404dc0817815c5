//! Documents, one by one.
//!
//! Each read verifies the document that it returns. A row's `checksum` is of its table, number and JSON. A row whose
//! checksum is NULL is not verified: an older format wrote it, or a person edited it. The verifying thread gives it
//! one (`verify`).

use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

use lentil_store::{IndexRef, StoreError, StoredDocument};
use lentil_values::{DocumentId, JsonForm, Object, TableNumber, Value};
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use crate::error::store_error;
use crate::tables::checksum::checksum;
use crate::tables::damage::{self, Fault};
use crate::tables::foreign::{self, ForeignTables};
use crate::tables::rowid::{FIRST_NATIVE, native_number, number_by_id};

/// The name of the tree that has a table's documents.
#[derive(Clone, Copy)]
pub(crate) struct Tree(pub(crate) TableNumber);

impl Tree {
    /// Returns a statement with the tree's name in the middle. Formatting would take longer than finding a row does.
    pub(crate) fn sql(self, before: &str, after: &str) -> String {
        let mut sql = String::with_capacity(before.len() + after.len() + 24);
        sql.push_str(before);
        sql.push_str("_documents_");
        sql.push_str(&self.0.get().to_string());
        sql.push_str(after);
        sql
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "_documents_{}", self.0)
    }
}

/// Makes the tree of a table, if it is not there.
pub(crate) fn create_tree(conn: &Connection, table: TableNumber) -> rusqlite::Result<()> {
    let tree = Tree(table);
    conn.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {tree} (number INTEGER PRIMARY KEY, json TEXT NOT NULL, checksum INTEGER)"
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
pub(crate) struct Documents<'c> {
    conn: &'c Connection,
    table: TableNumber,
    by_number: CachedStatement<'c>,
}

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
        let before = "SELECT number, json, checksum FROM ";
        let sql = Tree(table).sql(before, " WHERE number = ?1");
        Ok(prepare(conn, table, &sql)?.map(|by_number| Documents {
            conn,
            table,
            by_number,
        }))
    }

    /// The document of this number.
    pub(crate) fn at(&mut self, number: i64) -> Result<Option<Found>, StoreError> {
        let failed = |error| damage::of_number(self.conn, self.table, number, error);
        let mut rows = self.by_number.query([number]).map_err(failed)?;
        match rows.next().map_err(failed)? {
            Some(row) => read(self.conn, self.table, row).map(Some),
            None => Ok(None),
        }
    }

    /// The document of this id: the one under the id's own number, or a foreign one.
    pub(crate) fn get(&mut self, id: DocumentId) -> Result<Option<Found>, StoreError> {
        let native = self.at(number_by_id(id.internal));
        if let Ok(Some(found)) = &native
            && found.document.id == id
        {
            return native;
        }
        // The native number may be another document's, and that one may be damaged.
        let Some(number) = foreign::number_of(self.conn, id)? else {
            return native
                .map(|_| None)
                .map_err(|error| damage::named(error, id));
        };
        let found = self.at(number).map_err(|error| damage::named(error, id))?;
        match found.filter(|found| found.document.id == id) {
            Some(found) => Ok(Some(found)),
            None => Err(damage::of_missing(self.conn, IndexRef::ById(id.table), id)),
        }
    }
}

/// The columns that [`read`] takes, in its order.
pub(crate) const COLUMNS: &str = "number, json, checksum";

/// The rows of a table in the order of their numbers: `?1` is the first one's number at least, `?2` how many.
pub(crate) fn walk_sql(table: TableNumber) -> String {
    let tree = Tree(table);
    format!("SELECT {COLUMNS} FROM {tree} WHERE number >= ?1 ORDER BY number LIMIT ?2")
}

/// Reads the document of a row of [`COLUMNS`], and verifies it.
///
/// # Errors
/// [`StoreError::DamagedDocument`] when it differs from the document that was written.
pub(crate) fn read(
    conn: &Connection,
    table: TableNumber,
    row: &Row<'_>,
) -> Result<Found, StoreError> {
    let stored = Stored::of(row).map_err(store_error)?;
    match stored.verify(table) {
        Ok(document) => Ok(Found {
            document,
            bytes: stored.json.len(),
        }),
        Err(fault) => Err(damage::of_row(
            conn,
            table,
            stored.number,
            stored.json,
            fault,
        )),
    }
}

/// A row of a table's tree.
pub(crate) struct Stored<'r> {
    pub(crate) number: i64,
    /// Its bytes, if it is text.
    json: &'r [u8],
    /// `None` when it is NULL.
    checksum: Option<i64>,
}

impl<'r> Stored<'r> {
    /// Reads a row of [`COLUMNS`].
    pub(crate) fn of(row: &'r Row<'_>) -> rusqlite::Result<Stored<'r>> {
        Ok(Stored {
            number: row.get(0)?,
            json: match row.get_ref(1)? {
                ValueRef::Text(json) => json,
                _ => &[],
            },
            checksum: match row.get_ref(2)? {
                ValueRef::Null => None,
                ValueRef::Integer(checksum) => Some(checksum),
                // No checksum is that small.
                _ => Some(i64::MIN),
            },
        })
    }

    /// The checksum that the row should have.
    pub(crate) fn own_checksum(&self, table: TableNumber) -> i64 {
        checksum(table, self.number, self.json).into()
    }

    pub(crate) fn has_checksum(&self) -> bool {
        self.checksum.is_some()
    }

    /// The document's `_id`, as far as it can be read.
    pub(crate) fn id(&self) -> Option<DocumentId> {
        id_in(self.json)
    }

    /// The document, if it is as it was written, and stands where it belongs.
    pub(crate) fn verify(&self, table: TableNumber) -> Result<Arc<StoredDocument>, Fault> {
        if let Some(checksum) = self.checksum
            && checksum != self.own_checksum(table)
        {
            return Err(Fault::Checksum);
        }
        let document = decode(self.json).map_err(Fault::Content)?;
        let is_native = || native_number(&document) == Some(self.number);
        if document.id.table != table || self.number >= FIRST_NATIVE && !is_native() {
            let what = "its `_id` or `_creationTime` is not the one of its number";
            return Err(Fault::Content(what.to_owned()));
        }
        Ok(document)
    }
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

/// Returns whether the store has this document under an id; `None` stands for no document.
pub(crate) fn is_stored(
    conn: &Connection,
    id: DocumentId,
    document: Option<&StoredDocument>,
) -> Result<bool, StoreError> {
    let Some(mut documents) = Documents::of(conn, id.table)? else {
        return Ok(document.is_none());
    };
    let mut json_at = |number: i64| {
        let json = documents
            .by_number
            .query_row([number], |row| row.get::<_, String>(1));
        json.optional().map_err(store_error)
    };
    let native = json_at(number_by_id(id.internal))?;
    let native = native.filter(|json| id_in(json.as_bytes()) == Some(id));
    let stored = match (native, foreign::number_of(conn, id)?) {
        (None, Some(number)) => json_at(number)?,
        (native, _) => native,
    };
    Ok(stored == document.map(encode))
}

/// Inserts a document: under the number that its id says, or as a foreign one.
pub(crate) fn insert(
    conn: &Connection,
    foreign: &mut ForeignTables,
    document: &StoredDocument,
    json: &str,
) -> rusqlite::Result<()> {
    let id = document.id;
    if let Some(number) = native_number(document) {
        let values = " (number, json, checksum) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        let insert = Tree(id.table).sql("INSERT INTO ", values);
        let checksum = checksum(id.table, number, json.as_bytes());
        let mut insert = conn.prepare_cached(&insert)?;
        if insert.execute(params![number, json, checksum])? == 1 {
            return Ok(());
        }
        if id_at(conn, id.table, number)? == Some(id) {
            return Err(foreign::already_there(id));
        }
    }
    foreign::insert(conn, foreign, document, json)
}

/// The id of the document that has this number, as far as it can be read.
fn id_at(
    conn: &Connection,
    table: TableNumber,
    number: i64,
) -> rusqlite::Result<Option<DocumentId>> {
    let select = format!("SELECT json FROM {} WHERE number = ?1", Tree(table));
    conn.query_row(&select, [number], |row| {
        Ok(id_in(row.get_ref(0)?.as_bytes()?))
    })
}

/// Writes a document that is there, and has this id and creation time.
pub(crate) fn update(
    conn: &Connection,
    foreign: &mut ForeignTables,
    id: DocumentId,
    json: &str,
) -> rusqlite::Result<()> {
    let set = " SET json = ?2, checksum = ?3 WHERE number = ?1";
    let update = Tree(id.table).sql("UPDATE ", set);
    let number = foreign
        .number_of(conn, id)?
        .unwrap_or_else(|| number_by_id(id.internal));
    let checksum = checksum(id.table, number, json.as_bytes());
    conn.prepare_cached(&update)?
        .execute(params![number, json, checksum])
        .map(drop)
}

/// Deletes a document that is there.
pub(crate) fn delete(
    conn: &Connection,
    foreign: &mut ForeignTables,
    document: &StoredDocument,
) -> rusqlite::Result<()> {
    let id = document.id;
    let delete = format!("DELETE FROM {} WHERE number = ?1", Tree(id.table));
    let number = match foreign.number_of(conn, id)? {
        Some(number) => {
            foreign::remove_entries(conn, document, number)?;
            number
        }
        None => number_by_id(id.internal),
    };
    conn.prepare_cached(&delete)?.execute([number]).map(drop)
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

/// Reads a document's JSON.
///
/// # Errors
/// The fault, if it is not a document.
pub(crate) fn decode(json: &[u8]) -> Result<Arc<StoredDocument>, String> {
    let value =
        Value::parse_json(json).map_err(|error| format!("its JSON cannot be read ({error})"))?;
    let Value::Object(mut fields) = value else {
        return Err("its JSON is not an object".to_owned());
    };
    read_system_fields(&mut fields)
        .map(|(id, creation_time)| {
            Arc::new(StoredDocument {
                id,
                creation_time,
                fields,
            })
        })
        .ok_or_else(|| "its `_id` or `_creationTime` is missing or malformed".to_owned())
}

fn read_system_fields(fields: &mut Object) -> Option<(DocumentId, f64)> {
    let id = fields.remove("_id")?;
    let creation_time = fields.remove("_creationTime")?.as_f64()?;
    Some((DocumentId::from_str(id.as_str()?).ok()?, creation_time))
}

/// The `_id` in a document's JSON, which may be damaged elsewhere.
pub(crate) fn id_in(json: &[u8]) -> Option<DocumentId> {
    let name = b"\"_id\":\"";
    let start = json.windows(name.len()).position(|part| part == name)? + name.len();
    let length = json[start..].iter().position(|byte| *byte == b'"')?;
    let text = std::str::from_utf8(&json[start..start + length]).ok()?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_name_the_tree() {
        for number in [1, 90, 10_001, u32::MAX] {
            let tree = Tree(TableNumber::new(number).unwrap());
            assert_eq!(tree.sql("a ", " b"), format!("a {tree} b"));
        }
    }
}
