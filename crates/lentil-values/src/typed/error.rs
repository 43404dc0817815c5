use std::fmt::Display;

use crate::path::ValuePath;
use crate::value::Value;

/// A value does not fit a Rust type. Prints as ``` `author.name`: expected v.string(), got 3 ```.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", path.prefix())]
pub struct DecodeError {
    path: ValuePath,
    reason: String,
}

impl DecodeError {
    /// Returns an error about the value as a whole.
    pub fn new(reason: impl Into<String>) -> DecodeError {
        DecodeError {
            path: ValuePath::root(),
            reason: reason.into(),
        }
    }

    /// Returns the error of a value other than the expected one.
    pub fn expected(expected: impl Display, got: &Value) -> DecodeError {
        DecodeError::new(format!("expected {expected}, got {got}"))
    }

    /// Returns the error as an error of the object whose field `name` contains the value.
    #[must_use]
    pub fn in_field(mut self, name: &str) -> DecodeError {
        self.path = self.path.in_field(name);
        self
    }

    /// Returns the error as an error of the array that contains the value at index `at`.
    #[must_use]
    pub fn in_element(mut self, at: usize) -> DecodeError {
        self.path = self.path.in_element(at);
        self
    }
}
