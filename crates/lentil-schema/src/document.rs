use std::ops::Deref;

use lentil_values::{
    DecodeError, FieldName, FieldValidator, Object, ObjectValidator, Validator, Value, ValueType, v,
};

use crate::id::Id;
use crate::index::Index;
use crate::key::Ending;
use crate::patch::Patch;
use crate::range::{Open, Range};
use crate::table::Table;

/// A table's documents as a Rust struct, `#[derive(Document)]`.
///
/// ```
/// # extern crate lentil_schema as lentil;
/// use lentil_macros::Document;
/// use lentil_schema::Document;
///
/// /// A web build job.
/// #[derive(Document, Clone)]
/// #[table("jobs")]
/// #[index(by_status_and_createdAt(status, created_at))]
/// pub struct Job {
///     /// How far it is.
///     pub status: String,
///     /// The final reply, once there is one.
///     pub result: Option<String>,
///     /// Unix timestamp in milliseconds.
///     pub created_at: f64,
/// }
///
/// let recently_done = Job::BY_STATUS_AND_CREATED_AT.eq("done").gte(1_700_000_000_000.0);
/// let reset = Job::patch().status("queued").clear_result();
/// assert_eq!(Job::table().indexes()[0].fields[1].to_string(), "createdAt");
/// # let _ = (recently_done, reset);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no table's document",
    label = "not `#[derive(Document)]`",
    note = "derive it on the struct of the fields: `#[derive(Document, Clone)] #[table(\"jobs\")] struct Job {{ … }}`"
)]
pub trait Document: Sized + Send + Sync + Clone + 'static {
    /// The table's name.
    const TABLE: &'static str;

    /// The table's documents in the order of their creation.
    const BY_CREATION_TIME: Index<Self, Ending<Self>> = Index::new(Self::TABLE, "by_creation_time");

    /// The table's documents in the order of their ids.
    const BY_ID: Index<Self, (Id<Self>, ())> = Index::new(Self::TABLE, "by_id");

    /// As [`ValueType::DOES_NOT_CONTAIN_ITSELF`], of the fields.
    #[doc(hidden)]
    const DOES_NOT_CONTAIN_ITSELF: bool = true;

    /// The builder of [`Patch`]es that the derive makes.
    type Patch: Into<Patch<Self>>;

    /// The table: its fields and its indexes.
    fn table() -> Table;

    /// The document's fields, without the system fields.
    fn into_fields(self) -> Object;

    /// Reads a document from its fields, without the system fields.
    ///
    /// # Errors
    /// When they are not what [`Document::table`] says.
    fn from_fields(fields: Object) -> Result<Self, DecodeError>;

    /// A change of nothing yet, to be filled: `Job::patch().status("done")`.
    fn patch() -> Self::Patch;

    /// Every document of the table, in the order of creation.
    fn all() -> Range<Self, Open<Ending<Self>>> {
        Self::BY_CREATION_TIME.all()
    }
}

impl<T: Document> ValueType for Id<T> {
    fn validator() -> Validator {
        v::id(T::TABLE)
    }

    fn into_value(self) -> Value {
        Value::from(self)
    }

    fn from_value(value: Value) -> Result<Id<T>, DecodeError> {
        let id = value.as_str().and_then(|text| text.parse().ok());
        id.map(Id::new)
            .ok_or_else(|| DecodeError::expected(Self::validator(), &value))
    }
}

/// A stored document: its fields, which it dereferences to, and the two system fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Doc<T> {
    /// `_id`
    pub id: Id<T>,
    /// `_creationTime`: milliseconds since the Unix epoch.
    pub creation_time: f64,
    /// The author's fields.
    pub fields: T,
}

impl<T> Deref for Doc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.fields
    }
}

impl<T: Document> ValueType for Doc<T> {
    const DOES_NOT_CONTAIN_ITSELF: bool = T::DOES_NOT_CONTAIN_ITSELF;

    fn validator() -> Validator {
        with_system_fields::<T>(T::table().document().clone())
    }

    fn into_value(self) -> Value {
        let mut object = self.fields.into_fields();
        object.insert(FieldName::from_static("_id"), self.id.into_value());
        object.insert(
            FieldName::from_static("_creationTime"),
            Value::Float64(self.creation_time),
        );
        Value::Object(object)
    }

    fn from_value(value: Value) -> Result<Doc<T>, DecodeError> {
        let mut object = Object::from_value(value)?;
        let mut take = |name: &'static str| {
            let field = object.remove(name);
            field
                .ok_or_else(|| DecodeError::new("missing").in_field(name))
                .map(|value| (name, value))
        };
        let (name, id) = take("_id")?;
        let id = Id::from_value(id).map_err(|error| error.in_field(name))?;
        let (name, time) = take("_creationTime")?;
        let creation_time = f64::from_value(time).map_err(|error| error.in_field(name))?;
        Ok(Doc {
            id,
            creation_time,
            fields: T::from_fields(object)?,
        })
    }
}

impl<T: Document> From<Doc<T>> for Value {
    fn from(doc: Doc<T>) -> Value {
        doc.into_value()
    }
}

/// The validator of a table's documents as functions return them.
fn with_system_fields<T: Document>(document: Validator) -> Validator {
    match document {
        Validator::Object(ObjectValidator(mut fields)) => {
            fields.insert("_id".to_owned(), FieldValidator::from(v::id(T::TABLE)));
            fields.insert(
                "_creationTime".to_owned(),
                FieldValidator::from(v::number()),
            );
            Validator::Object(ObjectValidator(fields))
        }
        Validator::Union(members) => v::union(members.into_iter().map(with_system_fields::<T>)),
        other => other,
    }
}
