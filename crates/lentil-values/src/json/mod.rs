//! Values as JSON.
//!
//! [`JsonForm::Encoded`] loses nothing: what plain JSON cannot say is an object with one key, `{"$integer": …}`,
//! `{"$float": …}` or `{"$bytes": …}`, over the little-endian or raw bytes in base64. It is the form of stored
//! documents and of all input. The other two forms are for reading only.

mod parse;
mod special;
mod write;

pub use parse::JsonError;

/// How values are written as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonForm {
    /// `convex_encoded_json`: integers, bytes and special floats as `$`-objects; floats always with a point, `1.0`.
    Encoded,
    /// `json`: integers, bytes and special floats as strings; floats with a point.
    Clean,
    /// As JavaScript's `JSON.stringify` writes numbers: `1`, `-0` as `0`, NaN and infinities as `null`; integers and
    /// bytes as strings.
    JavaScript,
}
