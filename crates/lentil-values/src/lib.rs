//! Convex values: the eight types and their total order, document ids, validators, index keys whose
//! bytes order as the values do, and the JSON forms. This crate does no I/O.

mod convert;
mod display;
mod heap;
mod id;
mod interval;
pub mod json;
mod key;
mod limits;
mod name;
mod path;
#[cfg(test)]
mod test_values;
mod typed;
mod unix_millis;
mod uuid;
pub mod validator;
mod value;

pub use display::Excerpt;
pub use heap::{allocation, json_parse_size};
pub use id::{DocumentId, IdError, InternalId, TableNumber};
pub use interval::{Interval, after_prefix, successor};
pub use json::{JsonError, JsonForm};
pub use key::{IndexKey, KeyError, KeyWriter, decode_key};
pub use limits::{LimitError, MAX_ELEMENTS, MAX_FIELDS, MAX_NESTING, check_limits};
pub use name::{FieldName, NameError, check_identifier};
pub use path::{FieldPath, FieldPathError, ValuePath};
pub use typed::{DecodeError, FieldType, Nullable, ReturnType, ValueType};
pub use unix_millis::UnixMillis;
pub use uuid::{Uuid, UuidError};
pub use validator::{
    FieldValidator, ObjectValidator, TableNames, ValidationError, Validator, ValidatorError, v,
};
pub use value::{Object, Value};
