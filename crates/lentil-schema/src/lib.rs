//! What documents must be: an application's tables, and the Rust types that stand for them.
//!
//! `#[derive(Document)]` lowers a struct to a [`Table`] and gives it typed [`Index`]es; `#[derive(Args)]` does the
//! same for a function's arguments. Everything the derives do can be done by hand with the builders here.

mod args;
mod check;
mod derived;
mod document;
mod error;
mod id;
mod index;
mod key;
mod nested;
mod patch;
mod range;
mod range_spec;
mod schema;
mod table;

pub use args::{Args, IntoArgs};
pub use document::{Doc, Document};
pub use error::{IndexError, SchemaError};
pub use id::Id;
pub use index::Index;
pub use key::{Ending, HasNext, IntoKey};
pub use patch::Patch;
pub use range::{Above, Below, Between, Open, Range, TakesEq, TakesLower, TakesUpper};
pub use range_spec::{IntoRange, KeyPart, RangeSpec};
pub use schema::Schema;
pub use table::{IndexDefinition, Table};

/// The names that the code of the derives uses. They are not for use by hand.
#[doc(hidden)]
pub mod __derive {
    pub use lentil_values::{
        DecodeError, FieldName, FieldType, FieldValidator, Object, ObjectValidator, Validator,
        Value, ValueType, v,
    };

    pub use crate::derived::{flatten, nothing_left, tagged, take_tagged, with_flattened};
    pub use crate::nested::{Letter, NestedField};
    pub use crate::{Args, Document, Ending, Index, IntoArgs, Patch, Table};
}
