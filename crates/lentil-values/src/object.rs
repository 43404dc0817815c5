use std::cmp::Ordering;

use crate::{FieldName, Value};

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

impl<V: Into<Value>, const N: usize> From<[(&'static str, V); N]> for Object {
    /// An object with literal field names; a malformed one panics.
    fn from(fields: [(&'static str, V); N]) -> Object {
        fields
            .into_iter()
            .map(|(name, value)| (FieldName::from_static(name), value.into()))
            .collect()
    }
}

impl IntoIterator for Object {
    type Item = (FieldName, Value);
    type IntoIter = std::vec::IntoIter<(FieldName, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
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
                const { $crate::FieldName::from_static($name) },
                <$crate::Value as ::core::convert::From<_>>::from($value),
            )),*
        ])
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_object_literal_may_be_empty_or_end_in_a_comma() {
        assert_eq!(object! {}, Object::new());
        assert_eq!(object! { "a": 1.0, }, Object::from([("a", 1.0)]));
    }

    proptest! {
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
