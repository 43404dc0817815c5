use std::fmt;
use std::marker::PhantomData;

use lentil_values::{FieldName, Value};

/// A change of some fields of a document in `T`'s table. The other fields keep their values.
///
/// The derived builder returns one:
///
/// ```
/// # extern crate lentil_schema as lentil;
/// use lentil_macros::Document;
/// use lentil_schema::{Document, Patch};
///
/// #[derive(Document, Clone)]
/// #[table("jobs")]
/// struct Job {
///     status: String,
///     result: Option<String>,
/// }
///
/// let patch: Patch<Job> = Job::patch().status("queued").clear_result().into();
/// assert_eq!(patch.changes.len(), 2);
/// ```
pub struct Patch<T> {
    /// The new value of each field. `None` removes the field.
    pub changes: Vec<(FieldName, Option<Value>)>,
    table: PhantomData<fn() -> T>,
}

impl<T> Patch<T> {
    /// Returns a patch without changes.
    pub fn new() -> Patch<T> {
        Patch {
            changes: Vec::new(),
            table: PhantomData,
        }
    }

    /// Adds the new value of a field. `None` removes the field.
    #[must_use]
    pub fn set(mut self, name: FieldName, value: Option<Value>) -> Patch<T> {
        self.changes.push((name, value));
        self
    }
}

impl<T> Default for Patch<T> {
    fn default() -> Patch<T> {
        Patch::new()
    }
}

impl<T> Clone for Patch<T> {
    fn clone(&self) -> Patch<T> {
        Patch {
            changes: self.changes.clone(),
            table: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Patch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Patch").field(&self.changes).finish()
    }
}
