use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

use lentil_store::StoredDocument;
use lentil_values::{DocumentId, JsonForm, Object, TableNumber, Value};
use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::rowid::{FIRST_NATIVE, native_rowid};

/// A row of a document table.
///
/// A row whose checksum is NULL is not verified: an older format wrote it, or a person edited it.
/// The background verification adds the checksum (`verify`).
pub(crate) struct StoredRow<'r> {
    pub(crate) rowid: i64,
    /// The bytes of the column `json`; empty if it is not text.
    pub(crate) json: &'r [u8],
    /// `None` if the column is NULL.
    checksum: Option<i64>,
}

/// A fault of a stored document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The checksum does not match.
    Checksum,
    /// The content is not a document, or it is a document that belongs under another rowid.
    Content(String),
}

impl<'r> StoredRow<'r> {
    /// Reads a row of [`COLUMNS`](super::document_table::COLUMNS).
    pub(crate) fn of(row: &'r Row<'_>) -> rusqlite::Result<StoredRow<'r>> {
        Ok(StoredRow {
            rowid: row.get(0)?,
            json: match row.get_ref(1)? {
                ValueRef::Text(json) => json,
                _ => &[],
            },
            checksum: match row.get_ref(2)? {
                ValueRef::Null => None,
                ValueRef::Integer(checksum) => Some(checksum),
                // A checksum has 32 bits, so this one never matches.
                _ => Some(i64::MIN),
            },
        })
    }

    /// Returns the checksum of the row's contents.
    pub(crate) fn computed_checksum(&self, table: TableNumber) -> i64 {
        checksum(table, self.rowid, self.json).into()
    }

    pub(crate) fn has_checksum(&self) -> bool {
        self.checksum.is_some()
    }

    /// Returns the document's `_id` if it can be read.
    pub(crate) fn id(&self) -> Option<DocumentId> {
        id_in(self.json)
    }

    /// Decodes the document, and checks that it is intact and belongs under this rowid.
    pub(crate) fn verify(&self, table: TableNumber) -> Result<Arc<StoredDocument>, Fault> {
        if let Some(checksum) = self.checksum
            && checksum != self.computed_checksum(table)
        {
            return Err(Fault::Checksum);
        }
        let document = decode(self.json).map_err(Fault::Content)?;
        if !self.belongs_here(&document, table) {
            let what = "its `_id` or `_creationTime` does not match its rowid";
            return Err(Fault::Content(what.to_owned()));
        }
        Ok(document)
    }

    /// Returns whether a document of this id and creation time is stored under this rowid.
    fn belongs_here(&self, document: &StoredDocument, table: TableNumber) -> bool {
        let is_foreign = self.rowid < FIRST_NATIVE;
        document.id.table == table && (is_foreign || native_rowid(document) == Some(self.rowid))
    }
}

/// Returns the CRC-32C of a document's table, rowid and JSON.
///
/// It covers the place where the document is stored, so that intact JSON under another rowid does
/// not pass. The file stores it as a signed number, which takes four bytes: SQLite overwrites a row
/// in place if its size stays the same.
pub(crate) fn checksum(table: TableNumber, rowid: i64, json: &[u8]) -> i32 {
    let mut place = [0; 12];
    place[..4].copy_from_slice(&table.get().to_be_bytes());
    place[4..].copy_from_slice(&rowid.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), json).cast_signed()
}

/// Returns a document as JSON, in Convex's encoding.
pub(crate) fn encode(document: &StoredDocument) -> String {
    let StoredDocument {
        id,
        creation_time,
        fields,
    } = document;
    let mut json = Vec::with_capacity(fields.size() + fields.size() / 4 + 96);
    json.extend_from_slice(b"{\"_creationTime\":");
    Value::Float64(*creation_time).write_json(JsonForm::Encoded, &mut json);
    write!(json, ",\"_id\":\"{id}\"").expect("writing to a Vec does not fail");
    if !fields.is_empty() {
        json.push(b',');
        fields.write_fields(JsonForm::Encoded, &mut json);
    }
    json.push(b'}');
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// Reads a document from its JSON.
///
/// # Errors
/// The fault, if the JSON is not a document.
pub(crate) fn decode(json: &[u8]) -> Result<Arc<StoredDocument>, String> {
    let value =
        Value::parse_json(json).map_err(|error| format!("its JSON cannot be read ({error})"))?;
    let Value::Object(mut fields) = value else {
        return Err("its JSON is not an object".to_owned());
    };
    let Some((id, creation_time)) = take_system_fields(&mut fields) else {
        return Err("its `_id` or `_creationTime` is missing or malformed".to_owned());
    };
    Ok(Arc::new(StoredDocument {
        id,
        creation_time,
        fields,
    }))
}

fn take_system_fields(fields: &mut Object) -> Option<(DocumentId, f64)> {
    let id = fields.remove("_id")?;
    let creation_time = fields.remove("_creationTime")?.as_f64()?;
    Some((DocumentId::from_str(id.as_str()?).ok()?, creation_time))
}

/// Finds the `_id` in a document's JSON, which may be damaged elsewhere.
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

    /// Another checksum would make every existing database look damaged.
    #[test]
    fn stored_checksum_does_not_change() {
        let table = TableNumber::FIRST_USER;
        assert_eq!(checksum(table, 5, b"{}"), -83_267_341);
        assert_ne!(checksum(table, 5, b"{}"), checksum(table, 6, b"{}"));
        assert_ne!(
            checksum(table, 5, b"{}"),
            checksum(TableNumber::FIRST_SYSTEM, 5, b"{}")
        );
    }
}
