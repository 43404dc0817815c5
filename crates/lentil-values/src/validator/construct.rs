use super::{FieldValidator, ObjectValidator, Validator};
use crate::name::{NameError, check_identifier};
use crate::value::Value;

/// Convex's `v`: constructors of validators, with Convex's names.
pub mod v {
    use super::{FieldValidator, ObjectValidator, Validator, Value};

    /// `v.any()`
    pub fn any() -> Validator {
        Validator::Any
    }

    /// `v.null()`
    pub fn null() -> Validator {
        Validator::Null
    }

    /// `v.number()`: a double.
    pub fn number() -> Validator {
        Validator::Float64
    }

    /// `v.int64()`
    pub fn int64() -> Validator {
        Validator::Int64
    }

    /// `v.boolean()`
    pub fn boolean() -> Validator {
        Validator::Boolean
    }

    /// `v.string()`
    pub fn string() -> Validator {
        Validator::String
    }

    /// `v.bytes()`
    pub fn bytes() -> Validator {
        Validator::Bytes
    }

    /// `v.id("table")`
    pub fn id(table: impl Into<String>) -> Validator {
        Validator::Id(table.into())
    }

    /// `v.literal("x")`
    pub fn literal(value: impl Into<Value>) -> Validator {
        Validator::Literal(value.into())
    }

    /// `v.array(element)`
    pub fn array(element: Validator) -> Validator {
        Validator::Array(Box::new(element))
    }

    /// `v.record(keys, values)`
    pub fn record(keys: Validator, values: Validator) -> Validator {
        Validator::Record {
            keys: Box::new(keys),
            values: Box::new(values),
        }
    }

    /// `v.union(a, b)`
    pub fn union(members: impl IntoIterator<Item = Validator>) -> Validator {
        Validator::Union(members.into_iter().collect())
    }

    /// `v.optional(x)`, a field that may be missing.
    pub fn optional(validator: Validator) -> FieldValidator {
        FieldValidator {
            validator,
            optional: true,
        }
    }

    /// `v.object({f: …})`
    pub fn object<N: Into<String>, F: Into<FieldValidator>>(
        fields: impl IntoIterator<Item = (N, F)>,
    ) -> Validator {
        Validator::Object(ObjectValidator::new(fields))
    }
}

impl ObjectValidator {
    /// Returns the validator of an object with these fields.
    pub fn new<N: Into<String>, F: Into<FieldValidator>>(
        fields: impl IntoIterator<Item = (N, F)>,
    ) -> ObjectValidator {
        ObjectValidator(
            fields
                .into_iter()
                .map(|(name, field)| (name.into(), field.into()))
                .collect(),
        )
    }
}

/// A validator is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValidatorError {
    /// The name of a field or table is not valid. Rename it.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The literal is NaN or an infinity. Use `v.number()`.
    #[error("v.literal() cannot be NaN or an infinity")]
    FloatLiteral,
    /// The literal has another type than string, number, integer or boolean.
    #[error("v.literal() takes a string, a number, an integer or a boolean, not {0}")]
    Literal(String),
    /// The keys of the record are not text.
    #[error("the keys of v.record() must be v.string(), v.id() or a union of these, not {0}")]
    RecordKeys(String),
}

impl Validator {
    /// Checks the names, the literals and the record keys inside the validator.
    ///
    /// # Errors
    /// Returns the first error.
    pub fn check(&self) -> Result<(), ValidatorError> {
        match self {
            Validator::Id(table) => Ok(check_identifier(table)?),
            Validator::Literal(value) => check_literal(value),
            Validator::Array(element) => element.check(),
            Validator::Record { keys, values } => {
                check_record_keys(keys).and_then(|()| values.check())
            }
            Validator::Union(members) => members.iter().try_for_each(Validator::check),
            Validator::Object(object) => object.check(),
            _ => Ok(()),
        }
    }
}

impl ObjectValidator {
    /// Checks the fields, as [`Validator::check`] does.
    ///
    /// # Errors
    /// Returns the first error.
    pub fn check(&self) -> Result<(), ValidatorError> {
        for (name, field) in &self.0 {
            check_identifier(name)?;
            field.validator.check()?;
        }
        Ok(())
    }
}

fn check_literal(value: &Value) -> Result<(), ValidatorError> {
    match value {
        Value::Float64(number) if !number.is_finite() => Err(ValidatorError::FloatLiteral),
        Value::Float64(_) | Value::Int64(_) | Value::Boolean(_) | Value::String(_) => Ok(()),
        other => Err(ValidatorError::Literal(other.to_string())),
    }
}

fn check_record_keys(keys: &Validator) -> Result<(), ValidatorError> {
    match keys {
        Validator::String => Ok(()),
        Validator::Id(table) => Ok(check_identifier(table)?),
        Validator::Union(members) if !members.is_empty() => {
            members.iter().try_for_each(check_record_keys)
        }
        other => Err(ValidatorError::RecordKeys(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_validators_are_rejected() {
        assert_eq!(
            v::literal(f64::NAN).check(),
            Err(ValidatorError::FloatLiteral)
        );
        assert!(matches!(
            v::literal(()).check(),
            Err(ValidatorError::Literal(_))
        ));
        assert!(matches!(
            v::record(v::literal("x"), v::any()).check(),
            Err(ValidatorError::RecordKeys(_))
        ));
        assert!(matches!(
            v::record(v::union([]), v::any()).check(),
            Err(ValidatorError::RecordKeys(_))
        ));
        assert!(matches!(
            v::array(v::object([("a-b", v::any())])).check(),
            Err(ValidatorError::Name(_))
        ));
        assert!(matches!(
            v::union([v::id("__")]).check(),
            Err(ValidatorError::Name(_))
        ));
        assert_eq!(
            v::record(v::union([v::id("jobs"), v::string()]), v::literal(1.0)).check(),
            Ok(())
        );
    }
}
