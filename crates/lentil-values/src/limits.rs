use crate::{Object, Value, ValuePath};

/// Fields that an object may have.
pub const MAX_FIELDS: usize = 1_024;
/// Elements that an array may have.
pub const MAX_ELEMENTS: usize = 8_192;
/// Levels to which arrays and objects may nest.
pub const MAX_NESTING: usize = 64;

/// A value is larger than any value may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// An object has too many fields.
    #[error("{}an object has {count} fields; the limit is {MAX_FIELDS}", at(path))]
    TooManyFields {
        /// The object.
        path: ValuePath,
        /// Its fields.
        count: usize,
    },
    /// An array is too long.
    #[error("{}an array has {count} elements; the limit is {MAX_ELEMENTS}", at(path))]
    ArrayTooLong {
        /// The array.
        path: ValuePath,
        /// Its elements.
        count: usize,
    },
    /// Arrays and objects are nested too deeply.
    #[error("the value is nested more than {MAX_NESTING} levels deep")]
    TooNested,
}

fn at(path: &ValuePath) -> String {
    if path.is_root() { String::new() } else { format!("`{path}`: ") }
}

/// Checks a value against the limits that hold everywhere: 1,024 fields, 8,192 elements, 64 levels.
///
/// # Errors
/// The first limit passed, and where.
pub fn check_limits(value: &Value) -> Result<(), LimitError> {
    check(value, &mut ValuePath::root(), 0)
}

impl Object {
    /// As [`check_limits`], for an object.
    ///
    /// # Errors
    /// The first limit passed, and where.
    pub fn check_limits(&self) -> Result<(), LimitError> {
        check_object(self, &mut ValuePath::root(), 1)
    }
}

impl Value {
    /// As [`check_limits`].
    ///
    /// # Errors
    /// The first limit passed, and where.
    pub fn check_limits(&self) -> Result<(), LimitError> {
        check_limits(self)
    }
}

fn check(value: &Value, path: &mut ValuePath, depth: usize) -> Result<(), LimitError> {
    match value {
        Value::Array(elements) => check_array(elements, path, depth + 1),
        Value::Object(object) => check_object(object, path, depth + 1),
        _ => Ok(()),
    }
}

fn check_array(elements: &[Value], path: &mut ValuePath, depth: usize) -> Result<(), LimitError> {
    if depth > MAX_NESTING {
        return Err(LimitError::TooNested);
    }
    if elements.len() > MAX_ELEMENTS {
        return Err(LimitError::ArrayTooLong { path: path.clone(), count: elements.len() });
    }
    for (at, element) in elements.iter().enumerate() {
        path.push_element(at);
        check(element, path, depth)?;
        path.pop();
    }
    Ok(())
}

fn check_object(object: &Object, path: &mut ValuePath, depth: usize) -> Result<(), LimitError> {
    if depth > MAX_NESTING {
        return Err(LimitError::TooNested);
    }
    if object.len() > MAX_FIELDS {
        return Err(LimitError::TooManyFields { path: path.clone(), count: object.len() });
    }
    for (name, value) in object.iter() {
        path.push_field(name.as_str());
        check(value, path, depth)?;
        path.pop();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FieldName;
    use crate::value::tests::object;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(Value::Null, |value, _| Value::Array(vec![value]))
    }

    #[test]
    fn each_limit_is_exact_and_names_its_place() {
        assert_eq!(check_limits(&nested(MAX_NESTING)), Ok(()));
        assert_eq!(check_limits(&nested(MAX_NESTING + 1)), Err(LimitError::TooNested));
        let long = object(&[("list", Value::Array(vec![Value::Null; MAX_ELEMENTS + 1]))]);
        let error = check_limits(&long).unwrap_err();
        assert_eq!(error.to_string(), "`list`: an array has 8193 elements; the limit is 8192");
        let wide = |count: usize| -> Object {
            (0..count).map(|at| (FieldName::new(format!("f{at}")).unwrap(), Value::Null)).collect()
        };
        assert_eq!(wide(MAX_FIELDS).check_limits(), Ok(()));
        assert!(matches!(wide(MAX_FIELDS + 1).check_limits(), Err(LimitError::TooManyFields { .. })));
    }
}
