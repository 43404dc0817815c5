//! Rust types as values.
//!
//! - [`ValueType`] is a type whose values are Convex values. `#[derive(ValueType)]` implements it.
//! - [`FieldType`] is the type of a field: a value type, or an `Option` of one for a field that may
//!   be missing.
//! - [`ReturnType`] is the type of a function's result: a value type, an `Option` of one (`None` is
//!   null), or a count.

mod count;
mod error;
mod nullable;
mod traits;
mod types;

pub use error::DecodeError;
pub use nullable::Nullable;
pub use traits::{FieldType, ReturnType, ValueType};
