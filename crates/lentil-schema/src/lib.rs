//! An application's tables and typed indexes, and the traits of documents and arguments.
//!
//! `#[derive(Document)]` turns a struct into a [`Table`] with typed [`Index`]es. `#[derive(Args)]`
//! turns a struct into the arguments of a function. The builders in this crate do the same by hand.

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
