//! Validators, which [`v`] builds.
//!
//! A validator checks values, prints as its author wrote it, and converts to the JSON of Convex's
//! tools:
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
//! An object may not have other fields. A field that may be missing may not be null. [`TableNames`]
//! resolves the tables of ids.

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

/// A description of valid values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// Any value.
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
    /// The id of a document in this table. The document need not exist.
    Id(String),
    /// Exactly this value.
    Literal(Value),
    /// A list of such elements.
    Array(Box<Validator>),
    /// An object with any fields.
    Record {
        /// The validator of the field names.
        keys: Box<Validator>,
        /// The validator of the field values.
        values: Box<Validator>,
    },
    /// A value that matches one of the members.
    Union(Vec<Validator>),
    /// An object with these fields and no others.
    Object(ObjectValidator),
}

/// The validators of an object's fields, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectValidator(pub BTreeMap<String, FieldValidator>);

/// The validator of a field, which may be optional.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValidator {
    /// The validator of the field's value.
    pub validator: Validator,
    /// Whether the field may be missing. An optional field may not be null, unless the validator
    /// allows null.
    pub optional: bool,
}

impl Validator {
    fn has_ids(&self) -> bool {
        match self {
            Validator::Id(_) => true,
            Validator::Array(elements) => elements.has_ids(),
            Validator::Record { keys, values } => keys.has_ids() || values.has_ids(),
            Validator::Union(members) => members.iter().any(Validator::has_ids),
            Validator::Object(object) => object.has_ids(),
            _ => false,
        }
    }
}

impl ObjectValidator {
    /// Returns whether a field is, or contains, an id of a certain table.
    pub fn has_ids(&self) -> bool {
        self.0.values().any(|field| field.validator.has_ids())
    }
}

impl From<Validator> for FieldValidator {
    fn from(validator: Validator) -> FieldValidator {
        FieldValidator {
            validator,
            optional: false,
        }
    }
}

/// The names and numbers of tables, which a validator of ids needs.
pub trait TableNames {
    /// Returns the number of the table with this name.
    fn number(&self, name: &str) -> Option<TableNumber>;
    /// Returns the name of the table with this number.
    fn name(&self, number: TableNumber) -> Option<&str>;
}

/// Without tables, no id is valid.
impl TableNames for () {
    fn number(&self, _name: &str) -> Option<TableNumber> {
        None
    }

    fn name(&self, _number: TableNumber) -> Option<&str> {
        None
    }
}
