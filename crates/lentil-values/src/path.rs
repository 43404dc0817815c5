use std::fmt;

use crate::name::{NameError, check_identifier};
use crate::value::{Object, Value};

/// The path to an indexed field, such as `jobId`, or `author.name` for a field of a nested object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Vec<String>);

/// A text is not a field path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a field path: {source}")]
pub struct FieldPathError {
    path: String,
    source: NameError,
}

impl FieldPath {
    /// Parses a path such as `a.b.c`.
    ///
    /// # Errors
    /// Returns an error if a part is not an identifier.
    pub fn parse(path: &str) -> Result<FieldPath, FieldPathError> {
        let mut parts = Vec::new();
        for part in path.split('.') {
            check_identifier(part).map_err(|source| FieldPathError {
                path: path.to_owned(),
                source,
            })?;
            parts.push(part.to_owned());
        }
        Ok(FieldPath(parts))
    }

    /// Returns the names along the path, at least one.
    pub fn parts(&self) -> &[String] {
        &self.0
    }

    /// Returns the value at the path, or `None` if a field on the way is missing or not an object.
    pub fn get<'o>(&self, object: &'o Object) -> Option<&'o Value> {
        let (last, outer) = self.0.split_last()?;
        let mut object = object;
        for name in outer {
            object = object.get(name)?.as_object()?;
        }
        object.get(last)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// The position of an error in a value: `author.name` or `tags[3]`. It is empty for the value
/// itself.
///
/// The text of a very deep path is truncated with `…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValuePath(Vec<Step>);

/// The number of steps that the text of a path shows.
const MAX_SHOWN_STEPS: usize = 12;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Element(usize),
}

impl ValuePath {
    /// Returns the path to the value itself.
    pub fn root() -> ValuePath {
        ValuePath::default()
    }

    /// Returns whether the path leads to the value itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the beginning of an error's text, such as `` `a.b`:  ``. It is empty for the root.
    pub(crate) fn prefix(&self) -> String {
        if self.is_root() {
            String::new()
        } else {
            format!("`{self}`: ")
        }
    }

    /// Returns the path from the object whose field `name` contains the value.
    #[must_use]
    pub fn in_field(mut self, name: &str) -> ValuePath {
        // Quadratic in the depth, which is at most 64, and only on errors.
        self.0.insert(0, Step::Field(name.to_owned()));
        self
    }

    /// Returns the path from the array that contains the value at index `at`.
    #[must_use]
    pub fn in_element(mut self, at: usize) -> ValuePath {
        self.0.insert(0, Step::Element(at));
        self
    }
}

impl fmt::Display for ValuePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                _ if at == MAX_SHOWN_STEPS => return f.write_str("…"),
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Element(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_values::object;

    #[test]
    fn a_path_reaches_fields_of_nested_objects() {
        let value = object(&[("a", object(&[("b", Value::Int64(1))])), ("c", Value::Null)]);
        let get = |path: &str| {
            FieldPath::parse(path)
                .unwrap()
                .get(value.as_object().unwrap())
                .cloned()
        };
        assert_eq!(get("a.b"), Some(Value::Int64(1)));
        assert_eq!(get("c"), Some(Value::Null));
        assert_eq!((get("a.x"), get("c.d"), get("x")), (None, None, None));
        assert!(
            ["", "a.", ".a", "a..b", "a-b"]
                .iter()
                .all(|path| FieldPath::parse(path).is_err())
        );
    }

    #[test]
    fn a_value_path_prints_fields_and_indexes() {
        let path = ValuePath::root()
            .in_field("name")
            .in_element(3)
            .in_field("authors");
        assert_eq!(path.to_string(), "authors[3].name");
        let deep = (0..64).fold(ValuePath::root(), |path, _| path.in_element(0));
        assert_eq!(deep.to_string(), "[0]".repeat(12) + "…");
    }
}
