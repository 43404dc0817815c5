use std::fmt;

use crate::name::{NameError, check_identifier};
use crate::value::{Object, Value};

/// The path to an indexed field: `jobId`, or `author.name` for a field of a nested object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Vec<String>);

/// The text is no field path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is no field path: {source}")]
pub struct FieldPathError {
    path: String,
    source: NameError,
}

impl FieldPath {
    /// Reads `a.b.c`.
    ///
    /// # Errors
    /// When a part is no identifier.
    pub fn parse(path: &str) -> Result<FieldPath, FieldPathError> {
        let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
        match parts.iter().try_for_each(|part| check_identifier(part)) {
            Ok(()) => Ok(FieldPath(parts)),
            Err(source) => Err(FieldPathError {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// The names along the path; never empty.
    pub fn parts(&self) -> &[String] {
        &self.0
    }

    /// What stands at the path; `None` when a field along it is missing or no object.
    pub fn get<'o>(&self, object: &'o Object) -> Option<&'o Value> {
        let (last, along) = self.0.split_last()?;
        along
            .iter()
            .try_fold(object, |object, part| object.get(part)?.as_object())?
            .get(last)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// Where in a value an error is: prints as `author.name` or `tags[3]`; empty for the value itself.
///
/// A very deep path is cut with `…`, so that a message stays readable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValuePath(Vec<Step>);

/// A message shows at most this much of a path.
const MAX_SHOWN_STEPS: usize = 12;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Element(usize),
}

impl ValuePath {
    /// The value itself.
    pub fn root() -> ValuePath {
        ValuePath::default()
    }

    /// Whether it is the value itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path before an error's text, `` `a.b`:  ``; nothing for the root.
    pub(crate) fn prefix(&self) -> String {
        if self.is_root() {
            String::new()
        } else {
            format!("`{self}`: ")
        }
    }

    /// This path as seen from the object that holds the value in the field `name`.
    #[must_use]
    pub fn in_field(mut self, name: &str) -> ValuePath {
        self.0.insert(0, Step::Field(name.to_owned()));
        self
    }

    /// This path as seen from the array that holds the value at `at`.
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
    fn a_path_leads_into_nested_objects() {
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
    fn a_value_path_prints_as_one_would_write_it() {
        let path = ValuePath::root()
            .in_field("name")
            .in_element(3)
            .in_field("authors");
        assert_eq!(path.to_string(), "authors[3].name");
        let deep = (0..64).fold(ValuePath::root(), |path, _| path.in_element(0));
        assert_eq!(deep.to_string(), "[0]".repeat(12) + "…");
    }
}
