use super::error::DecodeError;
use super::traits::{ValueType, nested_validator};
use crate::validator::{Validator, v};
use crate::value::Value;

/// A value or null: `v.union(v.null(), T)`.
///
/// A field of type `Option<T>` may be missing. A field of type `Nullable<T>` is always there.
///
/// ```
/// use lentil_values::{Nullable, Value, ValueType};
///
/// assert_eq!(Nullable::<f64>::Null.into_value(), Value::Null);
/// assert_eq!(Nullable::from(Some(1.0)).into_option(), Some(1.0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nullable<T> {
    /// Null.
    #[default]
    Null,
    /// A value.
    Value(T),
}

impl<T> Nullable<T> {
    /// Returns the value, or `None` for null.
    pub fn into_option(self) -> Option<T> {
        match self {
            Nullable::Null => None,
            Nullable::Value(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for Nullable<T> {
    fn from(option: Option<T>) -> Nullable<T> {
        match option {
            Some(value) => Nullable::Value(value),
            None => Nullable::Null,
        }
    }
}

impl<V> From<Nullable<V>> for Value
where
    Value: From<V>,
{
    fn from(nullable: Nullable<V>) -> Value {
        match nullable {
            Nullable::Null => Value::Null,
            Nullable::Value(value) => Value::from(value),
        }
    }
}

impl<T: ValueType> ValueType for Nullable<T> {
    const DOES_NOT_CONTAIN_ITSELF: bool = T::DOES_NOT_CONTAIN_ITSELF;

    fn validator() -> Validator {
        v::union([v::null(), nested_validator::<T>()])
    }

    fn into_value(self) -> Value {
        match self {
            Nullable::Null => Value::Null,
            Nullable::Value(value) => value.into_value(),
        }
    }

    fn from_value(value: Value) -> Result<Nullable<T>, DecodeError> {
        if value.is_null() {
            Ok(Nullable::Null)
        } else {
            T::from_value(value).map(Nullable::Value)
        }
    }
}
