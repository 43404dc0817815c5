use std::fmt::Display;

use crate::path::ValuePath;
use crate::value::Value;

/// A value that a Rust type cannot hold: where, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", path.prefix())]
pub struct DecodeError {
    path: ValuePath,
    reason: String,
}

impl DecodeError {
    /// An error with the value as a whole.
    pub fn new(reason: impl Into<String>) -> DecodeError {
        DecodeError {
            path: ValuePath::root(),
            reason: reason.into(),
        }
    }

    /// The error of a value that is not what `expected` says.
    pub fn expected(expected: impl Display, got: &Value) -> DecodeError {
        DecodeError::new(format!("expected {expected}, got {got}"))
    }

    /// This error as seen from the object that holds the value in the field `name`.
    #[must_use]
    pub fn in_field(mut self, name: &str) -> DecodeError {
        self.path = self.path.in_field(name);
        self
    }

    /// This error as seen from the array that holds the value at `at`.
    #[must_use]
    pub fn in_element(mut self, at: usize) -> DecodeError {
        self.path = self.path.in_element(at);
        self
    }
}
