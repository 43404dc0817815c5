use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::Object;

/// A Convex value.
///
/// The order is total and is that of every index: null, all integers, all floats (IEEE 754 total order), false,
/// true, strings (by code point), bytes, arrays, objects. `Eq` and `Hash` follow it: `-0.0` is not `0.0`, and NaN
/// equals itself.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`
    Null,
    /// A 64-bit integer, `bigint` in JavaScript.
    Int64(i64),
    /// A double, `number` in JavaScript.
    Float64(f64),
    /// `true` or `false`
    Boolean(bool),
    /// Text without lone surrogates.
    String(String),
    /// Bytes, `ArrayBuffer` in JavaScript.
    Bytes(Vec<u8>),
    /// A list.
    Array(Vec<Value>),
    /// Fields by name.
    Object(Object),
}

impl Value {
    /// The size in bytes as limits count it: 1 for null and booleans, 9 for numbers, 2 more than its length for
    /// text and bytes, and for arrays and objects 2 more than what is in them.
    pub fn size(&self) -> usize {
        match self {
            Value::Null | Value::Boolean(_) => 1,
            Value::Int64(_) | Value::Float64(_) => 9,
            Value::String(text) => text.len() + 2,
            Value::Bytes(bytes) => bytes.len() + 2,
            Value::Array(elements) => 2 + elements.iter().map(Value::size).sum::<usize>(),
            Value::Object(object) => object.size(),
        }
    }

    /// Levels of arrays and objects: 0 for a scalar, 1 for `[]` and `{}`.
    pub fn nesting(&self) -> usize {
        match self {
            Value::Array(elements) => 1 + elements.iter().map(Value::nesting).max().unwrap_or(0),
            Value::Object(object) => object.nesting(),
            _ => 0,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The number of a float.
    pub fn as_f64(&self) -> Option<f64> {
        if let Value::Float64(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// The number of an integer.
    pub fn as_i64(&self) -> Option<i64> {
        if let Value::Int64(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// The truth of a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Boolean(truth) = self {
            Some(*truth)
        } else {
            None
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Value::Array(elements) = self {
            Some(elements)
        } else {
            None
        }
    }

    /// The fields of an object.
    pub fn as_object(&self) -> Option<&Object> {
        if let Value::Object(object) = self {
            Some(object)
        } else {
            None
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The place of the type in the order; false and true have one each.
    fn rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Int64(_) => 1,
            Value::Float64(_) => 2,
            Value::Boolean(false) => 3,
            Value::Boolean(true) => 4,
            Value::String(_) => 5,
            Value::Bytes(_) => 6,
            Value::Array(_) => 7,
            Value::Object(_) => 8,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Int64(a), Value::Int64(b)) => a.cmp(b),
            (Value::Float64(a), Value::Float64(b)) => a.total_cmp(b),
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) => a.cmp(b),
            (Value::Object(a), Value::Object(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        match self {
            Value::Null | Value::Boolean(_) => {}
            Value::Int64(number) => number.hash(state),
            Value::Float64(number) => number.to_bits().hash(state),
            Value::String(text) => text.hash(state),
            Value::Bytes(bytes) => bytes.hash(state),
            Value::Array(elements) => elements.hash(state),
            Value::Object(object) => object.hash(state),
        }
    }
}

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

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::FieldName;

    pub(crate) fn object(fields: &[(&'static str, Value)]) -> Value {
        Value::Object(
            fields
                .iter()
                .map(|(name, value)| (FieldName::from_static(name), value.clone()))
                .collect(),
        )
    }

    /// Any value, small enough to be quick, with the awkward floats and strings over-represented.
    pub(crate) fn any_value() -> impl Strategy<Value = Value> {
        let float = prop_oneof![
            any::<f64>(),
            prop::sample::select(vec![
                0.0,
                -0.0,
                f64::NAN,
                -f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                1e21,
                0.1
            ])
        ];
        let int = prop_oneof![any::<i64>(), -300_i64..300];
        let text = prop_oneof![any::<String>(), "[\0-\u{2}a]{0,4}"];
        let scalar = prop_oneof![
            Just(Value::Null),
            int.prop_map(Value::Int64),
            float.prop_map(Value::Float64),
            any::<bool>().prop_map(Value::Boolean),
            text.prop_map(Value::String),
            prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..2, Just(255)], 0..6)
                .prop_map(Value::Bytes),
        ];
        scalar.prop_recursive(4, 24, 4, |inner| {
            let field = "[a-c_ ]{0,3}".prop_map(|name| FieldName::new(name).expect("a plain name"));
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::vec((field, inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// The order that the official client's `compareValues` gives (facts sheet, appendix A).
    pub(crate) fn ascending() -> Vec<Value> {
        let float = Value::Float64;
        vec![
            Value::Null,
            Value::Int64(i64::MIN),
            Value::Int64(-1),
            Value::Int64(0),
            Value::Int64(5),
            float(f64::NEG_INFINITY),
            float(-1.5),
            float(-0.0),
            float(0.0),
            float(1e308),
            float(f64::INFINITY),
            float(f64::NAN),
            false.into(),
            true.into(),
            "".into(),
            "B".into(),
            "a".into(),
            "é".into(),
            "\u{FFFD}".into(),
            "😀".into(),
            Value::Bytes(vec![]),
            Value::Bytes(vec![1]),
            Value::Array(vec![]),
            Value::Array(vec![float(1.0)]),
            Value::Array(vec![float(1.0), float(2.0)]),
            object(&[]),
            object(&[("a", float(1.0))]),
            object(&[("a", float(1.0)), ("b", float(1.0))]),
            object(&[("b", float(0.0))]),
        ]
    }

    #[test]
    fn values_order_as_the_official_client_orders_them() {
        assert!(ascending().is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn sizes_and_nesting_follow_the_rule() {
        assert_eq!(Value::Null.size(), 1);
        assert_eq!(Value::Int64(1).size(), 9);
        assert_eq!(Value::from("abc").size(), 5);
        assert_eq!(Value::Array(vec![Value::Null, true.into()]).size(), 4);
        assert_eq!(object(&[("ab", Value::Float64(1.0))]).size(), 2 + 3 + 9);
        assert_eq!((Value::Null.nesting(), object(&[]).nesting()), (0, 1));
        assert_eq!(Value::Array(vec![object(&[])]).nesting(), 2);
    }

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

    proptest! {
        #[test]
        fn equal_values_hash_equally(a in any_value(), b in any_value()) {
            use std::hash::{BuildHasher, RandomState};
            let state = RandomState::new();
            prop_assert_eq!(state.hash_one(&a), state.hash_one(a.clone()));
            prop_assert!(a != b || state.hash_one(&a) == state.hash_one(&b));
        }
    }
}
