use lentil_schema::{Document, Patch, Table};
use lentil_store::StoredDocument;
use lentil_values::{DecodeError, FieldName, Nullable, Object, Validator, Value, ValueType, v};

use crate::database::SystemDocument;
use crate::system::storage::TABLE;

/// A file's document, in the system's table `_storage`.
///
/// Documents of the application name it with a field of the type `Id<StoredFile>`, `v.id("_storage")`. It is read
/// with `ctx.db.system`; files are stored and deleted with `ctx.storage`.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredFile {
    /// The SHA-256 of its bytes, in base64.
    pub sha256: String,
    /// How many bytes it has.
    pub size: f64,
    /// What its sender said it is.
    pub content_type: Nullable<String>,
}

impl SystemDocument for StoredFile {}

impl Document for StoredFile {
    const TABLE: &'static str = TABLE;

    type Patch = Patch<StoredFile>;

    fn table() -> Table {
        Table::new(TABLE)
            .field("sha256", v::string())
            .field("size", v::number())
            .field("contentType", Nullable::<String>::validator())
    }

    fn into_fields(self) -> Object {
        let fields = [
            ("sha256", self.sha256.into_value()),
            ("size", self.size.into_value()),
            ("contentType", self.content_type.into_value()),
        ];
        fields
            .into_iter()
            .map(|(name, value)| (FieldName::from_static(name), value))
            .collect()
    }

    /// What else the system keeps of a file is not the application's to see.
    fn from_fields(mut fields: Object) -> Result<StoredFile, DecodeError> {
        let mut take = |name: &str| {
            fields
                .remove(name)
                .ok_or_else(|| DecodeError::new("missing").in_field(name))
        };
        Ok(StoredFile {
            sha256: String::from_value(take("sha256")?)?,
            size: f64::from_value(take("size")?)?,
            content_type: Nullable::from_value(take("contentType")?)?,
        })
    }

    fn patch() -> Patch<StoredFile> {
        Patch::new()
    }
}

/// What `ctx.storage.get_metadata` tells of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileMetadata {
    /// The UUID in the file's URL.
    pub storage_id: String,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// How many bytes it has.
    pub size: f64,
    /// What its sender said it is.
    pub content_type: Option<String>,
}

impl ValueType for FileMetadata {
    fn validator() -> Validator {
        v::object([
            ("storageId", v::string()),
            ("sha256", v::string()),
            ("size", v::number()),
            ("contentType", v::union([v::string(), v::null()])),
        ])
    }

    fn into_value(self) -> Value {
        let fields = [
            ("storageId", Value::from(self.storage_id)),
            ("sha256", Value::from(self.sha256)),
            ("size", Value::Float64(self.size)),
            (
                "contentType",
                self.content_type.map_or(Value::Null, Value::from),
            ),
        ];
        Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| (FieldName::from_static(name), value))
                .collect(),
        )
    }

    fn from_value(value: Value) -> Result<FileMetadata, DecodeError> {
        let mut object = Object::from_value(value)?;
        let mut take = |name: &str| {
            object
                .remove(name)
                .ok_or_else(|| DecodeError::new("missing").in_field(name))
        };
        Ok(FileMetadata {
            storage_id: String::from_value(take("storageId")?)?,
            sha256: String::from_value(take("sha256")?)?,
            size: f64::from_value(take("size")?)?,
            content_type: Nullable::<String>::from_value(take("contentType")?)?.into_option(),
        })
    }
}

/// A stored file as the system sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct FileInfo {
    /// The SHA-256 of its bytes.
    pub hash: lentil_store::ContentHash,
    /// How many bytes it has.
    pub size: u64,
    /// What its sender said it is.
    pub content_type: Option<String>,
    /// The UUID in its URL.
    pub url_id: String,
}

impl FileInfo {
    /// Reads what [`crate::system::storage`] has written.
    pub(super) fn of(document: &StoredDocument) -> Option<FileInfo> {
        let text = |name| document.fields.get(name).and_then(Value::as_str);
        Some(FileInfo {
            hash: super::hash_of_base64(text("sha256")?)?,
            size: document.fields.get("size")?.as_f64()? as u64,
            content_type: text("contentType").map(str::to_owned),
            url_id: text("urlId")?.to_owned(),
        })
    }
}
