use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::name::FieldName;

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

/// Fields by name, in bytewise order of their names: the order in which they are stored, sent and compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object(Vec<(FieldName, Value)>);

impl Object {
    /// No fields.
    pub fn new() -> Object {
        Object::default()
    }

    /// The fields that have a value; quickest in the order of their names.
    pub fn of_present<const N: usize>(fields: [(FieldName, Option<Value>); N]) -> Object {
        let mut object = Object(Vec::with_capacity(
            fields.iter().filter(|(_, value)| value.is_some()).count(),
        ));
        for (name, value) in fields {
            if let Some(value) = value {
                object.push(name, value);
            }
        }
        object
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.position(name).ok().map(|at| &self.0[at].1)
    }

    /// Sets a field, and returns what it held before.
    pub fn insert(&mut self, name: FieldName, value: Value) -> Option<Value> {
        match self.position(name.as_str()) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (name, value));
                None
            }
        }
    }

    /// As [`Object::insert`], quickest in the order of the names.
    pub(crate) fn push(&mut self, name: FieldName, value: Value) {
        match self.0.last() {
            Some((last, _)) if *last >= name => drop(self.insert(name, value)),
            _ => self.0.push((name, value)),
        }
    }

    /// Takes a field out; the last one, in the order of their names, soonest.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        match self.0.last()?.0.as_str().cmp(name) {
            Ordering::Less => None,
            Ordering::Equal => self.0.pop().map(|(_, value)| value),
            Ordering::Greater => self.position(name).ok().map(|at| self.0.remove(at).1),
        }
    }

    /// The fields in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&FieldName, &Value)> + Clone {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the number of fields that fit without a new allocation.
    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As [`Value::size`].
    pub fn size(&self) -> usize {
        2 + self
            .iter()
            .map(|(name, value)| name.as_str().len() + 1 + value.size())
            .sum::<usize>()
    }

    /// As [`Value::nesting`].
    pub fn nesting(&self) -> usize {
        1 + self
            .iter()
            .map(|(_, value)| value.nesting())
            .max()
            .unwrap_or(0)
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(field, _)| field.as_str().cmp(name))
    }
}

impl FromIterator<(FieldName, Value)> for Object {
    /// Of fields with the same name the last counts.
    fn from_iter<I: IntoIterator<Item = (FieldName, Value)>>(fields: I) -> Object {
        let fields = fields.into_iter();
        let mut object = Object(Vec::with_capacity(fields.size_hint().0));
        fields.for_each(|(name, value)| object.push(name, value));
        object
    }
}

impl IntoIterator for Object {
    type Item = (FieldName, Value);
    type IntoIter = std::vec::IntoIter<(FieldName, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_values::{any_value, ascending, object};

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

    proptest! {
        #[test]
        fn equal_values_hash_equally(a in any_value(), b in any_value()) {
            use std::hash::{BuildHasher, RandomState};
            let state = RandomState::new();
            prop_assert_eq!(state.hash_one(&a), state.hash_one(a.clone()));
            prop_assert!(a != b || state.hash_one(&a) == state.hash_one(&b));
        }

        #[test]
        fn an_object_is_a_sorted_map(fields in prop::collection::vec(("[a-e]{0,2}", any::<i64>()), 0..12), gone in "[a-e]{0,2}") {
            let name = |text: &String| FieldName::new(text.clone()).unwrap();
            let mut model: std::collections::BTreeMap<String, i64> = fields.iter().cloned().collect();
            let mut object: Object = fields.iter().map(|(text, number)| (name(text), Value::Int64(*number))).collect();
            prop_assert_eq!(object.remove(&gone).is_some(), model.remove(&gone).is_some());
            prop_assert_eq!(object.len(), model.len());
            prop_assert!(object.iter().map(|(name, _)| name.as_str()).eq(model.keys().map(String::as_str)));
            prop_assert!(model.iter().all(|(name, number)| object.get(name) == Some(&Value::Int64(*number))));
        }
    }
}
