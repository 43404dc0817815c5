use std::fmt;
use std::marker::PhantomData;

use lentil_values::{FieldName, Value};

/// A change to some fields of a document of `T`'s table; the others stay as they are.
///
/// The derived builder, `Job::patch().status("done")`, makes one.
pub struct Patch<T> {
    /// The new value of each field; `None` takes the field out.
    pub changes: Vec<(FieldName, Option<Value>)>,
    table: PhantomData<fn() -> T>,
}

impl<T> Patch<T> {
    /// A change of nothing.
    pub fn new() -> Patch<T> {
        Patch {
            changes: Vec::new(),
            table: PhantomData,
        }
    }

    /// Adds a field's new value; `None` takes the field out.
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
