//! What documents must be: an application's tables, and the Rust types that stand for them.
//!
//! `#[derive(Document)]` lowers a struct to a [`Table`] and gives it typed [`Index`]es; `#[derive(Args)]` does the
//! same for a function's arguments. Everything the derives do can be done by hand with the builders here.

mod args;
mod check;
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
pub use index::{Ending, HasNext, Index};
pub use key::IntoKey;
pub use patch::Patch;
pub use range::{Above, Below, Between, Open, Range, TakesEq, TakesLower, TakesUpper};
pub use range_spec::{IntoRange, KeyPart, RangeSpec};
pub use schema::Schema;
pub use table::{IndexDefinition, Table};

/// What the derives' code names; not for use by hand.
#[doc(hidden)]
pub mod __derive;
