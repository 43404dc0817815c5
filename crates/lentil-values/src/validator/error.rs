use std::fmt;

use crate::path::ValuePath;

/// A value does not match its validator. Prints as
/// ``` `createdAt`: expected v.number(), got "soon" ```.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationError {
    /// The path to the wrong value; the root if the value as a whole is wrong.
    pub path: ValuePath,
    /// The problem.
    pub problem: Problem,
}

/// A difference between a value and its validator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A required field is missing.
    Missing {
        /// The validator.
        expected: String,
    },
    /// The object may not have this field.
    Unknown {
        /// The fields that the object may have.
        fields: Vec<String>,
    },
    /// The value does not match.
    Mismatch {
        /// The validator.
        expected: String,
        /// The value.
        got: String,
    },
    /// The value is null, but the field may only be missing. Omit it.
    NullForMissing {
        /// The validator.
        expected: String,
    },
    /// The id belongs to another table.
    WrongTable {
        /// The expected table.
        expected: String,
        /// The table of the id.
        got: String,
    },
}

impl ValidationError {
    pub(crate) fn new(problem: Problem) -> ValidationError {
        ValidationError {
            path: ValuePath::root(),
            problem,
        }
    }

    pub(crate) fn in_field(mut self, name: &str) -> ValidationError {
        self.path = self.path.in_field(name);
        self
    }

    pub(crate) fn in_element(mut self, at: usize) -> ValidationError {
        self.path = self.path.in_element(at);
        self
    }
}

/// The number of fields that a message lists.
const MAX_LISTED_FIELDS: usize = 24;

impl ValidationError {
    /// Returns the text with a word for the value as a whole:
    /// ``` argument `createdAt`: expected v.number(), got "soon" ```.
    pub fn with_subject(&self, subject: &str) -> String {
        if self.path.is_root() {
            format!("{subject}: {self}")
        } else {
            format!("{subject} {self}")
        }
    }
}

impl fmt::Display for ValidationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.path.prefix(), self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Missing { expected } => write!(f, "missing, expected {expected}"),
            Problem::Unknown { fields } if fields.is_empty() => {
                f.write_str("unknown field; the object has no fields")
            }
            Problem::Unknown { fields } => {
                let listed = &fields[..fields.len().min(MAX_LISTED_FIELDS)];
                let more = if listed.len() < fields.len() {
                    ", …"
                } else {
                    ""
                };
                write!(
                    f,
                    "unknown field; expected one of `{}`{more}",
                    listed.join("`, `")
                )
            }
            Problem::Mismatch { expected, got } => write!(f, "expected {expected}, got {got}"),
            Problem::NullForMissing { expected } => {
                write!(
                    f,
                    "expected {expected}, got null (leave the field out instead)"
                )
            }
            Problem::WrongTable { expected, got } => {
                write!(f, "expected {expected}, got an id of table \"{got}\"")
            }
        }
    }
}

impl std::error::Error for ValidationError {}
