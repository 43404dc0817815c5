//! Validators: what a value must be, as its author wrote it with [`v`].
//!
//! A validator says it of a value, prints as it was written, and goes to Convex's tools as JSON:
//!
//! ```
//! use lentil_values::{FieldValidator, Value, v};
//!
//! let job = v::object([("jobId", FieldValidator::from(v::string())), ("result", v::optional(v::string()))]);
//! assert_eq!(job.to_string(), "v.object({jobId: v.string(), result: v.optional(v.string())})");
//!
//! let error = job.validate(&Value::parse_json(br#"{"jobId": 3}"#)?, &()).unwrap_err();
//! assert_eq!(error.with_subject("argument"), "argument `jobId`: expected v.string(), got 3");
//! # Ok::<(), lentil_values::JsonError>(())
//! ```
//!
//! Objects are strict, a field that may be missing may not be null, and whether an id is of the right table is asked
//! of [`TableNames`].

mod check;
mod construct;
mod error;
mod json;
mod print;

use std::collections::BTreeMap;

use crate::id::TableNumber;
use crate::value::Value;

pub use construct::{ValidatorError, v};
pub use error::{Problem, ValidationError};
pub use json::ValidatorJsonError;

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// Anything.
    Any,
    /// `null`.
    Null,
    /// A double.
    Float64,
    /// A 64-bit integer.
    Int64,
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// The id of a document of this table, which need not exist.
    Id(String),
    /// This value and no other.
    Literal(Value),
    /// A list of these.
    Array(Box<Validator>),
    /// An object of any fields.
    Record {
        /// What the names must be.
        keys: Box<Validator>,
        /// What the values must be.
        values: Box<Validator>,
    },
    /// One of these.
    Union(Vec<Validator>),
    /// An object of these fields and no others.
    Object(ObjectValidator),
}

/// The fields of an object, each with what it must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectValidator(pub BTreeMap<String, FieldValidator>);

/// What a field must be, and whether it may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValidator {
    /// What it must be when it is there.
    pub validator: Validator,
    /// Whether it may be missing; even then it may not be null, unless the validator allows null.
    pub optional: bool,
}

impl From<Validator> for FieldValidator {
    fn from(validator: Validator) -> FieldValidator {
        FieldValidator {
            validator,
            optional: false,
        }
    }
}

/// Which table has which number: what a validator of ids needs to know.
pub trait TableNames {
    /// The number of the table with this name.
    fn number(&self, name: &str) -> Option<TableNumber>;
    /// The name of the table with this number.
    fn name(&self, number: TableNumber) -> Option<&str>;
}

/// No tables.
impl TableNames for () {
    fn number(&self, _name: &str) -> Option<TableNumber> {
        None
    }

    fn name(&self, _number: TableNumber) -> Option<&str> {
        None
    }
}
