use std::ops::Deref;

use lentil_values::{
    DecodeError, FieldName, FieldType, FieldValidator, Object, ObjectValidator, Validator, Value,
    ValueType, v,
};

use crate::id::Id;
use crate::index::Index;
use crate::key::Ending;
use crate::patch::Patch;
use crate::range::{Open, Range};
use crate::table::Table;

/// The documents of a table as a Rust struct: `#[derive(Document)]`.
///
/// The same struct can derive `Document`, `ValueType` and `Args` together. It is then also the
/// argument of the mutation that inserts it, and a field or a result of other types.
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
///     /// The state of the build.
///     pub status: String,
///     /// The final reply. It is missing until the job is done.
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
    message = "`{Self}` is not the document of a table",
    label = "does not derive `Document`",
    note = "derive `Document` for the struct: `#[derive(Document, Clone)] #[table(\"jobs\")] struct Job {{ … }}`"
)]
pub trait Document: Sized + Send + Sync + Clone + 'static {
    /// The name of the table.
    const TABLE: &'static str;

    /// The documents in the order of creation.
    const BY_CREATION_TIME: Index<Self, Ending<Self>> = Index::new(Self::TABLE, "by_creation_time");

    /// The documents in the order of their ids.
    const BY_ID: Index<Self, (Id<Self>, ())> = Index::new(Self::TABLE, "by_id");

    /// See [`ValueType::DOES_NOT_CONTAIN_ITSELF`].
    #[doc(hidden)]
    const DOES_NOT_CONTAIN_ITSELF: bool = true;

    /// The builder of changes that the derive generates.
    type Patch: Into<Patch<Self>>;

    /// Returns the table with its fields and indexes.
    fn table() -> Table;

    /// Converts into the fields, without the system fields.
    fn into_fields(self) -> Object;

    /// Converts from the fields, without the system fields.
    ///
    /// # Errors
    /// Returns an error if the fields do not match the table.
    fn from_fields(fields: Object) -> Result<Self, DecodeError>;

    /// Starts a change of some fields: `Job::patch().status("done")`.
    fn patch() -> Self::Patch;

    /// Returns the range of all documents, in the order of creation.
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

/// A stored document: the author's fields and the two system fields. It dereferences to the
/// author's fields.
///
/// ```
/// # extern crate lentil_schema as lentil;
/// use lentil_macros::Document;
/// use lentil_schema::Doc;
///
/// #[derive(Document, Clone)]
/// #[table("jobs")]
/// struct Job {
///     status: String,
/// }
///
/// fn describe(job: &Doc<Job>) -> String {
///     format!("{} is {} since {}", job.id, job.status, job.creation_time)
/// }
/// ```
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
        Ok(Doc {
            // The system fields go first: `from_fields` rejects fields that the author did not
            // declare.
            id: take(&mut object, "_id")?,
            creation_time: take(&mut object, "_creationTime")?,
            fields: T::from_fields(object)?,
        })
    }
}

/// Removes a field from an object and converts it.
fn take<V: ValueType>(object: &mut Object, name: &str) -> Result<V, DecodeError> {
    V::from_field(object.remove(name)).map_err(|error| error.in_field(name))
}

impl<T: Document> From<Doc<T>> for Value {
    fn from(doc: Doc<T>) -> Value {
        doc.into_value()
    }
}

/// Adds the system fields to the validator of a table's documents.
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
        // Each member is an object that rejects unknown fields, so each needs the system fields.
        Validator::Union(members) => v::union(members.into_iter().map(with_system_fields::<T>)),
        other => other,
    }
}
