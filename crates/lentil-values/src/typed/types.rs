use std::collections::BTreeMap;

use super::error::DecodeError;
use super::traits::{ValueType, nested_validator};
use crate::name::FieldName;
use crate::validator::{Validator, v};
use crate::value::{Object, Value};

macro_rules! scalar {
    ($($rust:ty, $variant:ident, $validator:ident;)*) => {
        // The compiler's list of implementations is less readable than the notes of the trait.
        $(#[diagnostic::do_not_recommend]
        impl ValueType for $rust {
            fn validator() -> Validator {
                v::$validator()
            }

            fn into_value(self) -> Value {
                Value::$variant(self)
            }

            fn from_value(value: Value) -> Result<$rust, DecodeError> {
                match value {
                    Value::$variant(inner) => Ok(inner),
                    other => Err(DecodeError::expected(v::$validator(), &other)),
                }
            }
        })*
    };
}

scalar! {
    String, String, string;
    f64, Float64, number;
    i64, Int64, int64;
    bool, Boolean, boolean;
    // Does not overlap the implementation for `Vec<T>`, because `u8` is not a value type.
    Vec<u8>, Bytes, bytes;
}

/// Null: the result of a function that returns nothing.
impl ValueType for () {
    fn validator() -> Validator {
        v::null()
    }

    fn into_value(self) -> Value {
        Value::Null
    }

    fn from_value(value: Value) -> Result<(), DecodeError> {
        if value.is_null() {
            Ok(())
        } else {
            Err(DecodeError::expected(v::null(), &value))
        }
    }
}

/// Any value.
impl ValueType for Value {
    fn validator() -> Validator {
        v::any()
    }

    fn into_value(self) -> Value {
        self
    }

    fn from_value(value: Value) -> Result<Value, DecodeError> {
        Ok(value)
    }
}

/// An object with any fields.
impl ValueType for Object {
    fn validator() -> Validator {
        // An object validator would reject every field that it does not list.
        v::record(v::string(), v::any())
    }

    fn into_value(self) -> Value {
        Value::Object(self)
    }

    fn from_value(value: Value) -> Result<Object, DecodeError> {
        match value {
            Value::Object(object) => Ok(object),
            other => Err(DecodeError::expected("an object", &other)),
        }
    }
}

impl<T: ValueType> ValueType for Vec<T> {
    const DOES_NOT_CONTAIN_ITSELF: bool = T::DOES_NOT_CONTAIN_ITSELF;

    fn validator() -> Validator {
        v::array(nested_validator::<T>())
    }

    fn into_value(self) -> Value {
        Value::Array(self.into_iter().map(T::into_value).collect())
    }

    fn from_value(value: Value) -> Result<Vec<T>, DecodeError> {
        let Value::Array(elements) = value else {
            return Err(DecodeError::expected(Self::validator(), &value));
        };
        let mut typed = Vec::with_capacity(elements.len());
        for (at, element) in elements.into_iter().enumerate() {
            typed.push(T::from_value(element).map_err(|error| error.in_element(at))?);
        }
        Ok(typed)
    }
}

/// A record.
///
/// The conversion into a value panics if a key is not a valid field name, and the call of the
/// function then fails: silently omitting the field would lose data. For keys from input, use
/// [`FieldName`], which is checked when created.
impl<T: ValueType> ValueType for BTreeMap<String, T> {
    const DOES_NOT_CONTAIN_ITSELF: bool = T::DOES_NOT_CONTAIN_ITSELF;

    fn validator() -> Validator {
        v::record(v::string(), nested_validator::<T>())
    }

    fn into_value(self) -> Value {
        let fields = self.into_iter().map(|(key, value)| {
            let name = FieldName::new(key).expect("the keys of a record are field names");
            (name, value.into_value())
        });
        Value::Object(fields.collect())
    }

    fn from_value(value: Value) -> Result<BTreeMap<String, T>, DecodeError> {
        let fields = BTreeMap::<FieldName, T>::from_value(value)?;
        Ok(fields
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect())
    }
}

/// A record.
impl<T: ValueType> ValueType for BTreeMap<FieldName, T> {
    const DOES_NOT_CONTAIN_ITSELF: bool = T::DOES_NOT_CONTAIN_ITSELF;

    fn validator() -> Validator {
        v::record(v::string(), nested_validator::<T>())
    }

    fn into_value(self) -> Value {
        Value::Object(
            self.into_iter()
                .map(|(name, value)| (name, value.into_value()))
                .collect(),
        )
    }

    fn from_value(value: Value) -> Result<BTreeMap<FieldName, T>, DecodeError> {
        let Value::Object(object) = value else {
            return Err(DecodeError::expected(Self::validator(), &value));
        };
        let mut record = BTreeMap::new();
        for (name, value) in object {
            let value = T::from_value(value).map_err(|error| error.in_field(name.as_str()))?;
            record.insert(name, value);
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Nullable;
    use super::*;
    use crate::unix_millis::UnixMillis;

    fn round_trip<T: ValueType + Clone + PartialEq + std::fmt::Debug>(typed: T) {
        let value = typed.clone().into_value();
        assert_eq!(T::validator().validate(&value, &()), Ok(()));
        assert_eq!(T::from_value(value), Ok(typed));
    }

    #[test]
    fn each_type_round_trips_and_matches_its_validator() {
        round_trip("x".to_owned());
        round_trip(1.5);
        round_trip(5_i64);
        round_trip(vec![1_u8, 2]);
        round_trip(vec![true, false]);
        round_trip(BTreeMap::from([("a".to_owned(), 1.0)]));
        round_trip(BTreeMap::from([(FieldName::from_static("a"), true)]));
        round_trip(());
        round_trip(Value::from("anything"));
        round_trip(Object::from_iter([(
            FieldName::from_static("a"),
            Value::Null,
        )]));
        round_trip(Nullable::Value("x".to_owned()));
        round_trip(Nullable::<String>::Null);
        round_trip(UnixMillis::new(5.0));
    }

    #[test]
    fn a_decode_error_contains_the_path() {
        let value = Value::Array(vec![Value::Float64(1.0), "x".into()]);
        assert_eq!(
            Vec::<f64>::from_value(value).unwrap_err().to_string(),
            "`[1]`: expected v.number(), got \"x\""
        );
    }
}
