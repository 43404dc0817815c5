//! Conversions into values, and object literals.

use crate::name::FieldName;
use crate::value::{Object, Value};

macro_rules! from {
    ($($from:ty => $variant:ident),*) => {
        $(impl From<$from> for Value {
            fn from(inner: $from) -> Value {
                Value::$variant(inner.into())
            }
        })*
    };
}

from!(i64 => Int64, f64 => Float64, bool => Boolean, &str => String, String => String, Vec<u8> => Bytes,
    Object => Object);

impl From<()> for Value {
    fn from((): ()) -> Value {
        Value::Null
    }
}

/// `None` is null.
impl<V> From<Option<V>> for Value
where
    Value: From<V>,
{
    fn from(option: Option<V>) -> Value {
        match option {
            Some(value) => Value::from(value),
            None => Value::Null,
        }
    }
}

impl<V> From<Vec<V>> for Value
where
    Value: From<V>,
{
    fn from(elements: Vec<V>) -> Value {
        Value::Array(elements.into_iter().map(Value::from).collect())
    }
}

impl<V: Into<Value>, const N: usize> From<[(&'static str, V); N]> for Object {
    /// Collects fields with literal names. A malformed name panics.
    fn from(fields: [(&'static str, V); N]) -> Object {
        fields
            .into_iter()
            .map(|(name, value)| (FieldName::from_static(name), value.into()))
            .collect()
    }
}

/// Builds an [`Object`] from literal field names and anything that converts into a [`Value`].
///
/// A name that cannot be a field's name does not compile. `None` becomes null.
///
/// ```
/// use lentil_values::{Value, object};
///
/// let author = object! { "name": "Ada", "tags": vec!["math"] };
/// let post = object! { "author": author, "score": 1.0, "editor": None::<String> };
/// assert_eq!(post.to_string(), r#"{author: {name: "Ada", tags: ["math"]}, editor: null, score: 1}"#);
/// assert_eq!(post.get("score"), Some(&Value::Float64(1.0)));
/// ```
#[macro_export]
macro_rules! object {
    ($($name:literal: $value:expr),* $(,)?) => {
        <$crate::Object as ::core::iter::FromIterator<_>>::from_iter([
            $((
                // The `const` block checks the name at compile time. Outside it, a bad name would
                // panic.
                const { $crate::FieldName::from_static($name) },
                <$crate::Value as ::core::convert::From<_>>::from($value),
            )),*
        ])
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_lists_convert_to_values() {
        assert_eq!(Value::from(Some("a")), Value::from("a"));
        assert_eq!(Value::from(None::<f64>), Value::Null);
        let list = vec![Some(1.0), None];
        assert_eq!(
            Value::from(list),
            Value::Array(vec![Value::Float64(1.0), Value::Null])
        );
        assert_eq!(Value::from(vec![1_u8, 2]), Value::Bytes(vec![1, 2]));
        assert_eq!(
            Value::from(vec![Value::Null]),
            Value::Array(vec![Value::Null])
        );
    }

    #[test]
    fn an_object_literal_may_be_empty_or_end_in_a_comma() {
        assert_eq!(object! {}, Object::new());
        assert_eq!(object! { "a": 1.0, }, Object::from([("a", 1.0)]));
    }
}
