use std::fmt;

use crate::path::ValuePath;

/// A value is not what its validator says. Prints as ``` `createdAt`: expected v.number(), got "soon" ```.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationError {
    /// Where; the root when the value as a whole is wrong.
    pub path: ValuePath,
    /// What.
    pub problem: Problem,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The field is not there.
    Missing {
        /// What it must be.
        expected: String,
    },
    /// The object has no such field.
    Unknown {
        /// The fields it has.
        fields: Vec<String>,
    },
    /// The value is another.
    Mismatch {
        /// What it must be.
        expected: String,
        /// What it is.
        got: String,
    },
    /// The value is null, and the field may be missing but not null.
    NullForMissing {
        /// What it must be.
        expected: String,
    },
    /// The id is one of another table.
    WrongTable {
        /// The table it must be of.
        expected: String,
        /// The table it is of.
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

/// A message lists at most this many of an object's fields.
const MAX_LISTED: usize = 24;

impl ValidationError {
    /// The error with what the value is to the caller: ``` argument `createdAt`: expected v.number(), got "soon" ```.
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
                f.write_str("unknown field; none is expected here")
            }
            Problem::Unknown { fields } => {
                let listed = fields[..fields.len().min(MAX_LISTED)].join("`, `");
                write!(
                    f,
                    "unknown field; expected one of `{listed}`{}",
                    if fields.len() > MAX_LISTED {
                        ", …"
                    } else {
                        ""
                    }
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
