use crate::path::ValuePath;
use crate::value::{Object, Value};

/// The maximum number of fields in an object.
// Convex documents the same three limits for its types.
pub const MAX_FIELDS: usize = 1_024;
/// The maximum number of elements in an array.
pub const MAX_ELEMENTS: usize = 8_192;
/// The maximum number of nested arrays and objects.
pub const MAX_NESTING: usize = 64;

/// A value exceeds a limit that holds for every value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// An object has too many fields. Split it.
    #[error("{}an object has {count} fields; the limit is {MAX_FIELDS}", path.prefix())]
    TooManyFields {
        /// The path to the object.
        path: ValuePath,
        /// The number of its fields.
        count: usize,
    },
    /// An array is too long. Split it.
    #[error("{}an array has {count} elements; the limit is {MAX_ELEMENTS}", path.prefix())]
    ArrayTooLong {
        /// The path to the array.
        path: ValuePath,
        /// The number of its elements.
        count: usize,
    },
    /// Arrays and objects are nested too deeply. Flatten them.
    #[error("{}nested more than {MAX_NESTING} levels deep", path.prefix())]
    TooNested {
        /// The path to the first array or object that is too deep.
        path: ValuePath,
    },
}

/// Checks a value against the limits that hold everywhere: 1,024 fields, 8,192 elements, 64 levels.
///
/// # Errors
/// Returns the first exceeded limit, with the path.
pub fn check_limits(value: &Value) -> Result<(), LimitError> {
    check(value, 0)
}

impl Object {
    /// Checks an object as [`check_limits`] checks a value.
    ///
    /// # Errors
    /// Returns the first exceeded limit, with the path.
    pub fn check_limits(&self) -> Result<(), LimitError> {
        check_object(self, 1)
    }
}

impl Value {
    /// Calls [`check_limits`].
    ///
    /// # Errors
    /// Returns the first exceeded limit, with the path.
    pub fn check_limits(&self) -> Result<(), LimitError> {
        check_limits(self)
    }
}

fn check(value: &Value, depth: usize) -> Result<(), LimitError> {
    match value {
        Value::Array(elements) => check_array(elements, depth + 1),
        Value::Object(object) => check_object(object, depth + 1),
        _ => Ok(()),
    }
}

fn check_array(elements: &[Value], depth: usize) -> Result<(), LimitError> {
    // Before the elements: the limit also bounds the recursion of this check.
    check_depth(depth)?;
    if elements.len() > MAX_ELEMENTS {
        return Err(LimitError::ArrayTooLong {
            path: ValuePath::root(),
            count: elements.len(),
        });
    }
    for (at, element) in elements.iter().enumerate() {
        check(element, depth).map_err(|error| error.within(|path| path.in_element(at)))?;
    }
    Ok(())
}

fn check_object(object: &Object, depth: usize) -> Result<(), LimitError> {
    check_depth(depth)?;
    if object.len() > MAX_FIELDS {
        return Err(LimitError::TooManyFields {
            path: ValuePath::root(),
            count: object.len(),
        });
    }
    for (name, value) in object.iter() {
        check(value, depth).map_err(|error| error.within(|path| path.in_field(name.as_str())))?;
    }
    Ok(())
}

fn check_depth(depth: usize) -> Result<(), LimitError> {
    if depth > MAX_NESTING {
        Err(LimitError::TooNested {
            path: ValuePath::root(),
        })
    } else {
        Ok(())
    }
}

impl LimitError {
    /// Extends the path by one level. Paths are built only for errors, from the inside out.
    fn within(mut self, outward: impl FnOnce(ValuePath) -> ValuePath) -> LimitError {
        let (LimitError::TooManyFields { path, .. }
        | LimitError::ArrayTooLong { path, .. }
        | LimitError::TooNested { path }) = &mut self;
        *path = outward(std::mem::take(path));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::FieldName;
    use crate::test_values::object;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(Value::Null, |value, _| Value::Array(vec![value]))
    }

    #[test]
    fn each_limit_is_exact_and_its_error_contains_the_path() {
        assert_eq!(check_limits(&nested(MAX_NESTING)), Ok(()));
        let deep = object(&[("list", nested(MAX_NESTING))]);
        let error = check_limits(&deep).unwrap_err().to_string();
        assert!(
            error.starts_with("`list[0][0]")
                && error.ends_with("…`: nested more than 64 levels deep"),
            "{error}"
        );
        let long = object(&[("list", Value::Array(vec![Value::Null; MAX_ELEMENTS + 1]))]);
        assert_eq!(
            check_limits(&Value::Array(vec![Value::Null; MAX_ELEMENTS])),
            Ok(())
        );
        let error = check_limits(&long).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`list`: an array has 8193 elements; the limit is 8192"
        );
        let wide = |count: usize| -> Object {
            (0..count)
                .map(|at| (FieldName::new(format!("f{at}")).unwrap(), Value::Null))
                .collect()
        };
        assert_eq!(wide(MAX_FIELDS).check_limits(), Ok(()));
        assert!(matches!(
            wide(MAX_FIELDS + 1).check_limits(),
            Err(LimitError::TooManyFields { .. })
        ));
    }
}
