//! Values as JSON.
//!
//! [`JsonForm::Encoded`] is lossless. It is the form of stored documents and of all input. Values
//! that plain JSON does not have are objects with one key, `{"$integer": …}`, `{"$float": …}` or
//! `{"$bytes": …}`, which contain the little-endian or raw bytes in base64. The other two forms are
//! for output only.

mod parse;
mod special;
mod write;

pub use parse::JsonError;

/// A JSON form of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonForm {
    /// `convex_encoded_json`: integers, bytes and special floats are `$`-objects, and other floats
    /// have a point: `1.0`.
    Encoded,
    /// `json`: integers, bytes and special floats are strings, and other floats have a point.
    Clean,
    /// Numbers as JavaScript's `JSON.stringify` writes them: `1`, `0` for `-0`, and `null` for NaN
    /// and infinities. Integers and bytes are strings.
    JavaScript,
}
