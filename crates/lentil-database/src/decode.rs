use lentil_call::{Code, Error, Result};
use lentil_schema::{Doc, Document, Id};
use lentil_store::StoredDocument;
use lentil_values::{FieldName, Object, Value};

/// A type that a stored document is read as: the type of its table, or a plain object.
pub trait Decode: Sized + Send {
    /// Reads a stored document.
    ///
    /// # Errors
    /// When the document is not of this shape.
    fn decode(document: &StoredDocument) -> Result<Self>;
}

impl<T: Document> Decode for Doc<T> {
    fn decode(document: &StoredDocument) -> Result<Doc<T>> {
        // A copy, because the transaction or the store may share the document.
        let fields = T::from_fields(document.fields.clone()).map_err(|error| {
            let message = format!(
                "document \"{}\" of table \"{}\" does not decode: {error}",
                document.id,
                T::TABLE
            );
            Error::new(Code::SchemaEnforcement, message)
        })?;
        Ok(Doc {
            id: Id::new(document.id),
            creation_time: document.creation_time,
            fields,
        })
    }
}

impl Decode for Object {
    fn decode(document: &StoredDocument) -> Result<Object> {
        let mut object = document.fields.clone();
        object.insert(
            FieldName::from_static("_id"),
            Value::String(document.id.to_string()),
        );
        object.insert(
            FieldName::from_static("_creationTime"),
            Value::Float64(document.creation_time),
        );
        Ok(object)
    }
}
