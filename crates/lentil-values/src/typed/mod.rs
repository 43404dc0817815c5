//! Rust types as values.
//!
//! [`ValueType`] is a type that is a value; `#[derive(ValueType)]` makes one. [`FieldType`] is what a field can be:
//! such a type, or an `Option` of one, which is a field that may be missing. [`ReturnType`] is what a function can
//! return: such a type, an `Option` of one, whose `None` is null, or nothing.

mod count;
mod error;
mod nullable;
mod traits;
mod types;

pub use error::DecodeError;
pub use nullable::Nullable;
pub use traits::{FieldType, ReturnType, ValueType};
