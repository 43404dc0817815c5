use data_encoding::BASE64;
use lentil_database::SystemDocument;
use lentil_macros::Document;
use lentil_store::ContentHash;
use lentil_values::{DecodeError, Nullable, Object, Validator, Value, ValueType, v};

/// A file's document, in the system's table `_storage`.
///
/// Documents of the application name it with a field of the type `Id<StoredFile>`,
/// `v.id("_storage")`. Functions read it with `ctx.db.system`, and store and delete files with
/// `ctx.storage`.
#[derive(Document, Clone, Debug, PartialEq)]
#[system]
#[table("_storage")]
pub struct StoredFile {
    /// The SHA-256 of its bytes, in base64.
    pub sha256: String,
    /// Its length in bytes.
    pub size: f64,
    /// The `Content-Type` that its sender gave.
    pub content_type: Nullable<String>,
}

impl SystemDocument for StoredFile {}

/// A file's document with all of its fields; functions see it as a [`StoredFile`].
#[derive(Document, Clone, Debug)]
#[system]
#[table("_storage")]
#[index(by_sha256(sha256))]
#[index(by_urlId(url_id))]
pub(crate) struct FileRecord {
    pub(crate) sha256: Sha256,
    pub(crate) size: f64,
    pub(crate) content_type: Nullable<String>,
    /// The UUID in the file's URL.
    pub(crate) url_id: String,
}

/// A hash in a document: a string in base64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sha256(pub(crate) ContentHash);

impl ValueType for Sha256 {
    fn validator() -> Validator {
        v::string()
    }

    fn into_value(self) -> Value {
        Value::String(BASE64.encode(&self.0.0))
    }

    fn from_value(value: Value) -> Result<Sha256, DecodeError> {
        let bytes = value.as_str().map(|text| BASE64.decode(text.as_bytes()));
        match bytes.map(|bytes| bytes.map(TryInto::try_into)) {
            Some(Ok(Ok(hash))) => Ok(Sha256(ContentHash(hash))),
            _ => Err(DecodeError::expected("a SHA-256 in base64", &value)),
        }
    }
}

/// The metadata of a file, as `ctx.storage.get_metadata` returns it.
#[derive(Clone, Debug, PartialEq)]
pub struct FileMetadata {
    /// The UUID in the file's URL.
    pub storage_id: String,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// Its length in bytes.
    pub size: f64,
    /// The `Content-Type` that its sender gave.
    pub content_type: Option<String>,
}

impl From<FileInfo> for FileMetadata {
    fn from(file: FileInfo) -> FileMetadata {
        FileMetadata {
            storage_id: file.url_id,
            sha256: file.hash.to_string(),
            size: file.size as f64,
            content_type: file.content_type,
        }
    }
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
        let content_type = Nullable::from(self.content_type);
        Value::Object(Object::from([
            ("storageId", Value::from(self.storage_id)),
            ("sha256", Value::from(self.sha256)),
            ("size", Value::Float64(self.size)),
            ("contentType", content_type.into_value()),
        ]))
    }

    fn from_value(value: Value) -> Result<FileMetadata, DecodeError> {
        let mut object = Object::from_value(value)?;
        Ok(FileMetadata {
            storage_id: take(&mut object, "storageId")?,
            sha256: take(&mut object, "sha256")?,
            size: take(&mut object, "size")?,
            content_type: take::<Nullable<_>>(&mut object, "contentType")?.into_option(),
        })
    }
}

fn take<T: ValueType>(object: &mut Object, name: &str) -> Result<T, DecodeError> {
    let value = object.remove(name);
    let value = value.ok_or_else(|| DecodeError::new("missing").in_field(name))?;
    T::from_value(value).map_err(|error| error.in_field(name))
}

/// A stored file, as the server reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct FileInfo {
    /// The SHA-256 of its bytes.
    pub hash: ContentHash,
    /// Its length in bytes.
    pub size: u64,
    /// The `Content-Type` that its sender gave.
    pub content_type: Option<String>,
    /// The UUID in its URL.
    pub url_id: String,
}

impl From<FileRecord> for FileInfo {
    fn from(record: FileRecord) -> FileInfo {
        FileInfo {
            hash: record.sha256.0,
            size: record.size as u64,
            content_type: record.content_type.into_option(),
            url_id: record.url_id,
        }
    }
}
