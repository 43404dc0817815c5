//! What documents must be: an application's tables, and the Rust types that stand for them.
//!
//! `#[derive(Document)]` lowers a struct to a [`Table`] and gives it typed [`Index`]es; `#[derive(Args)]` does the
//! same for a function's arguments. Everything the derives do can be done by hand with the builders here.

mod args;
mod document;
mod id;
mod index;
mod patch;
mod range;
mod schema;
mod table;

pub use args::{Args, IntoArgs};
pub use document::{Doc, Document};
pub use id::Id;
pub use index::{Bounded, HasNext, Index, IntoKey, Lower, Prefix, Upper};
pub use patch::Patch;
pub use range::{IntoRange, RangeSpec};
pub use schema::{Schema, SchemaError};
pub use table::{IndexDefinition, Table};

/// What the derives' code names; not for use by hand.
#[doc(hidden)]
pub mod __derive {
    pub use lentil_values::{DecodeError, FieldName, FieldType, FieldValidator, Object, ObjectValidator, Validator, Value, ValueType, v};

    pub use crate::{Args, Doc, Document, Id, Index, IntoArgs, Patch, Table};

    /// Takes a field out of an object and reads it.
    pub fn take<T: FieldType>(object: &mut Object, name: &'static str) -> Result<T, DecodeError> {
        T::from_field(object.remove(name)).map_err(|error| error.in_field(name))
    }

    /// Puts a field into a list of fields, unless it is missing.
    pub fn put<T: FieldType>(fields: &mut Vec<(FieldName, Value)>, name: &'static str, value: T) {
        fields.extend(value.into_field().map(|value| (FieldName::from_static(name), value)));
    }

    /// Refuses what is left of an object once its fields are taken out.
    pub fn nothing_left(object: &Object) -> Result<(), DecodeError> {
        object.iter().next().map_or(Ok(()), |(name, _)| Err(DecodeError::new("unknown field").in_field(name.as_str())))
    }
}
