use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use lentil_values::{DocumentId, IdError, Value};

/// The `_id` of a document in `T`'s table. The document need not exist.
///
/// ```
/// # extern crate lentil_schema as lentil;
/// use lentil_macros::Document;
/// use lentil_schema::Id;
/// use lentil_values::object;
///
/// #[derive(Document, Clone)]
/// #[table("jobs")]
/// struct Job {
///     status: String,
/// }
///
/// let id: Id<Job> = "j57000820c20a1g7104gm2rc1m70ynr8".parse()?;
/// assert_eq!(object! { "id": id }.to_string(), r#"{id: "j57000820c20a1g7104gm2rc1m70ynr8"}"#);
/// # Ok::<(), lentil_values::IdError>(())
/// ```
// `fn() -> T` makes the id `Send` and `Sync` whatever `T` is: it does not own a `T`.
pub struct Id<T>(DocumentId, PhantomData<fn() -> T>);

impl<T> Id<T> {
    /// Returns the id with its type. The caller guarantees that it belongs to `T`'s table.
    pub const fn new(id: DocumentId) -> Id<T> {
        Id(id, PhantomData)
    }

    /// Returns the id without its type.
    pub const fn document_id(&self) -> DocumentId {
        self.0
    }
}

impl<T> From<Id<T>> for Value {
    fn from(id: Id<T>) -> Value {
        Value::String(id.to_string())
    }
}

impl<T> From<&Id<T>> for Id<T> {
    fn from(id: &Id<T>) -> Id<T> {
        *id
    }
}

impl<T> FromStr for Id<T> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Id<T>, IdError> {
        text.parse().map(Id::new)
    }
}

impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

// Derives would require the same traits of `T`.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Id<T> {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Id<T>) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Id<T> {}

impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Id<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Id<T>) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
