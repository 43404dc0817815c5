use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::name::FieldName;

/// A Convex value.
///
/// Values have a total order, which is also the order of every index: null, integers, floats (in
/// IEEE 754 total order), false, true, strings (by code point), bytes, arrays, objects. `Eq` and
/// `Hash` agree with the order: `-0.0` differs from `0.0`, and NaN equals itself.
///
/// ```
/// use lentil_values::{Value, object};
///
/// let value = Value::from(object! { "name": "Ada", "born": 1815.0 });
/// assert_eq!(value.to_string(), r#"{born: 1815, name: "Ada"}"#);
/// assert!(Value::from(5_i64) < Value::from(1.0), "integers order before floats");
/// ```
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
    /// Text. It cannot contain lone surrogates.
    String(String),
    /// Bytes, `ArrayBuffer` in JavaScript.
    Bytes(Vec<u8>),
    /// A list of values.
    Array(Vec<Value>),
    /// Fields by name.
    Object(Object),
}

impl Value {
    /// Returns the size in bytes by which limits are measured.
    ///
    /// Null and booleans count 1, numbers 9, text and bytes their length and 2. Arrays and objects
    /// count their contents and 2.
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

    /// Returns the number of nested arrays and objects: 0 for a scalar, 1 for `[]` and `{}`.
    pub fn nesting(&self) -> usize {
        match self {
            Value::Array(elements) => 1 + elements.iter().map(Value::nesting).max().unwrap_or(0),
            Value::Object(object) => object.nesting(),
            _ => 0,
        }
    }

    /// Returns the text of a string, or `None` for a value of another type.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// Returns the number of a float, or `None` for a value of another type.
    pub fn as_f64(&self) -> Option<f64> {
        if let Value::Float64(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// Returns the number of an integer, or `None` for a value of another type.
    pub fn as_i64(&self) -> Option<i64> {
        if let Value::Int64(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// Returns a boolean, or `None` for a value of another type.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Boolean(boolean) = self {
            Some(*boolean)
        } else {
            None
        }
    }

    /// Returns the elements of an array, or `None` for a value of another type.
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Value::Array(elements) = self {
            Some(elements)
        } else {
            None
        }
    }

    /// Returns an object, or `None` for a value of another type.
    pub fn as_object(&self) -> Option<&Object> {
        if let Value::Object(object) = self {
            Some(object)
        } else {
            None
        }
    }

    /// Returns whether the value is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Returns the position of the type in the order. False and true have one each.
    // Must agree with the tags of `key.rs`, which order the types in an index.
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
            // Floats are equal if their bits are, so the hash agrees with `total_cmp`.
            Value::Float64(number) => number.to_bits().hash(state),
            Value::String(text) => text.hash(state),
            Value::Bytes(bytes) => bytes.hash(state),
            Value::Array(elements) => elements.hash(state),
            Value::Object(object) => object.hash(state),
        }
    }
}

/// An object: fields in the bytewise order of their names. They are stored, sent and compared in
/// this order.
///
/// [`object!`](crate::object) builds one from literal names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object(Vec<(FieldName, Value)>);

impl Object {
    /// Returns an object without fields.
    pub fn new() -> Object {
        Object::default()
    }

    /// Collects the fields that have a value. It is fastest if they come in the order of their
    /// names.
    pub fn of_present<const N: usize>(fields: [(FieldName, Option<Value>); N]) -> Object {
        let present = fields.iter().filter(|(_, value)| value.is_some()).count();
        let mut object = Object(Vec::with_capacity(present));
        for (name, value) in fields {
            if let Some(value) = value {
                object.push(name, value);
            }
        }
        debug_assert!(object.is_ordered());
        object
    }

    /// Returns the value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let at = self.position(name).ok()?;
        Some(&self.0[at].1)
    }

    /// Sets a field, and returns its previous value.
    pub fn insert(&mut self, name: FieldName, value: Value) -> Option<Value> {
        match self.position(name.as_str()) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (name, value));
                None
            }
        }
    }

    /// Sets a field, as [`Object::insert`] does. It is fastest if the names come in order.
    pub(crate) fn push(&mut self, name: FieldName, value: Value) {
        match self.0.last() {
            // Input may have its fields in any order, and twice.
            Some((last, _)) if *last >= name => {
                self.insert(name, value);
            }
            _ => self.0.push((name, value)),
        }
    }

    /// Removes a field, and returns its value. It is fastest for the last field in the order of the
    /// names.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        match self.0.last()?.0.as_str().cmp(name) {
            Ordering::Less => None,
            Ordering::Equal => self.0.pop().map(|(_, value)| value),
            Ordering::Greater => {
                let at = self.position(name).ok()?;
                Some(self.0.remove(at).1)
            }
        }
    }

    /// Iterates over the fields in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&FieldName, &Value)> + Clone {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the number of fields that fit without a new allocation.
    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Returns whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the size in bytes by which limits are measured, as [`Value::size`] does.
    pub fn size(&self) -> usize {
        2 + self
            .iter()
            .map(|(name, value)| name.as_str().len() + 1 + value.size())
            .sum::<usize>()
    }

    /// Returns the number of nested arrays and objects, as [`Value::nesting`] does.
    pub fn nesting(&self) -> usize {
        1 + self
            .iter()
            .map(|(_, value)| value.nesting())
            .max()
            .unwrap_or(0)
    }

    /// Returns whether the names are in order and distinct, which binary search requires.
    fn is_ordered(&self) -> bool {
        self.0.is_sorted_by(|(a, _), (b, _)| a < b)
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(field, _)| field.as_str().cmp(name))
    }
}

impl FromIterator<(FieldName, Value)> for Object {
    /// Collects fields. If several have the same name, the last one is kept.
    fn from_iter<I: IntoIterator<Item = (FieldName, Value)>>(fields: I) -> Object {
        let fields = fields.into_iter();
        let mut object = Object(Vec::with_capacity(fields.size_hint().0));
        for (name, value) in fields {
            object.push(name, value);
        }
        debug_assert!(object.is_ordered());
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
    fn size_and_nesting_of_each_type() {
        assert_eq!(Value::Null.size(), 1);
        assert_eq!(Value::Int64(1).size(), 9);
        assert_eq!(Value::from("abc").size(), 5);
        assert_eq!(Value::Array(vec![Value::Null, true.into()]).size(), 4);
        assert_eq!(object(&[("ab", Value::Float64(1.0))]).size(), 2 + 3 + 9);
        assert_eq!(Value::Null.nesting(), 0);
        assert_eq!(object(&[]).nesting(), 1);
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
        fn an_object_behaves_like_a_sorted_map(fields in prop::collection::vec(("[a-e]{0,2}", any::<i64>()), 0..12), gone in "[a-e]{0,2}") {
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
