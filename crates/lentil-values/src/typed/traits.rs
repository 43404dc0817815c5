use std::any::type_name;
use std::cell::Cell;

use super::error::DecodeError;
use crate::limits::MAX_NESTING;
use crate::validator::{FieldValidator, Validator, v};
use crate::value::Value;

/// A Rust type whose values are Convex values.
///
/// `#[derive(ValueType)]` implements it for a struct, which is an object, and for an enum, which is
/// a union. The same struct can derive `Document`, `ValueType` and `Args` together.
///
/// ```
/// use lentil_values::{Value, ValueType};
///
/// let tags = vec!["math".to_owned()];
/// assert_eq!(tags.into_value(), Value::Array(vec!["math".into()]));
/// assert_eq!(Vec::<String>::validator().to_string(), "v.array(v.string())");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a Convex value",
    label = "not a Convex value",
    note = "use `f64` or `UnixMillis` for v.number(), `i64` for v.int64(), `String`, `bool`, `Vec<u8>` for v.bytes(), `Vec<T>`, `BTreeMap<String, T>` for v.record(), `Id<T>`, `Nullable<T>`, or a type with `#[derive(ValueType)]`",
    note = "`Option<T>` is a field that may be missing; a value that may be null is `Nullable<T>`"
)]
pub trait ValueType: Sized {
    /// Does not compile for a type that contains itself, because its validator would be infinite.
    ///
    /// The derives compute it from the types of the fields, so that the compiler finds the cycle.
    /// An implementation by hand for a generic container does the same.
    #[doc(hidden)]
    const DOES_NOT_CONTAIN_ITSELF: bool = true;

    /// Returns the validator of the type's values.
    fn validator() -> Validator;

    /// Converts into a value.
    fn into_value(self) -> Value;

    /// Converts from a value.
    ///
    /// # Errors
    /// Returns an error if the value does not match [`ValueType::validator`].
    fn from_value(value: Value) -> Result<Self, DecodeError>;
}

/// The Rust type of a field of a document, of arguments or of an object.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the type of a field",
    label = "not a Convex value",
    note = "use `f64` or `UnixMillis` for v.number(), `i64` for v.int64(), `String`, `bool`, `Vec<u8>` for v.bytes(), `Vec<T>`, `BTreeMap<String, T>` for v.record(), `Id<T>`, `Nullable<T>`, or a type with `#[derive(ValueType)]`",
    note = "a field that may be missing is an `Option` of one of these"
)]
pub trait FieldType: Sized {
    /// The type of the field if it may be missing: an `Option` with one level.
    #[doc(hidden)]
    type OrMissing: FieldType;

    /// See [`ValueType::DOES_NOT_CONTAIN_ITSELF`].
    #[doc(hidden)]
    const DOES_NOT_CONTAIN_ITSELF: bool = true;

    /// Returns the validator of the field.
    fn field_validator() -> FieldValidator;

    /// Converts into the field's value, or `None` if the field is missing.
    fn into_field(self) -> Option<Value>;

    /// Converts from the field's value, or from `None` if the field is missing.
    ///
    /// # Errors
    /// Returns an error if a required field is missing, or the value does not match the validator.
    fn from_field(value: Option<Value>) -> Result<Self, DecodeError>;
}

/// A type nested more deeply contains itself. Its values would exceed [`MAX_NESTING`] in any case.
const MAX_TYPE_NESTING: usize = 2 * MAX_NESTING;

// `ValueType::validator` has no parameter that could carry the depth.
thread_local! {
    static TYPE_NESTING: Cell<usize> = const { Cell::new(0) };
}

/// Returns the validator of a type inside another type.
///
/// # Panics
/// Panics if the type contains itself. The derives reject this at compile time. An implementation
/// by hand would recurse until the stack overflows.
pub(super) fn nested_validator<T: ValueType>() -> Validator {
    /// Restores the depth, also if a validator panics.
    struct RestoreDepth(usize);

    impl Drop for RestoreDepth {
        fn drop(&mut self) {
            TYPE_NESTING.set(self.0);
        }
    }

    let depth = TYPE_NESTING.get();
    assert!(
        depth < MAX_TYPE_NESTING,
        "the type `{}` contains itself, and Convex has no recursive validators; use `Value` for the inner values, \
         or keep them in a table and their ids in the type",
        type_name::<T>()
    );
    let _restore = RestoreDepth(depth);
    TYPE_NESTING.set(depth + 1);
    T::validator()
}

impl<T: ValueType> FieldType for T {
    type OrMissing = Option<T>;

    const DOES_NOT_CONTAIN_ITSELF: bool = <T as ValueType>::DOES_NOT_CONTAIN_ITSELF;

    fn field_validator() -> FieldValidator {
        nested_validator::<T>().into()
    }

    fn into_field(self) -> Option<Value> {
        Some(self.into_value())
    }

    fn from_field(value: Option<Value>) -> Result<T, DecodeError> {
        match value {
            Some(value) => T::from_value(value),
            None => Err(DecodeError::new(format!(
                "missing, expected {}",
                T::validator()
            ))),
        }
    }
}

impl<T: ValueType> FieldType for Option<T> {
    type OrMissing = Option<T>;

    const DOES_NOT_CONTAIN_ITSELF: bool = T::DOES_NOT_CONTAIN_ITSELF;

    fn field_validator() -> FieldValidator {
        v::optional(nested_validator::<T>())
    }

    fn into_field(self) -> Option<Value> {
        self.map(T::into_value)
    }

    fn from_field(value: Option<Value>) -> Result<Option<T>, DecodeError> {
        value.map(T::from_value).transpose()
    }
}

/// The Rust type of a function's result.
#[diagnostic::on_unimplemented(
    message = "a function cannot return `{Self}`",
    label = "not a Convex value",
    note = "return a value type, an `Option` of one (`None` is null), `u32` or `usize` for a count, or `()`"
)]
pub trait ReturnType: Sized {
    /// Returns the validator of the result.
    fn return_validator() -> Validator;

    /// Converts into a value.
    fn into_return(self) -> Value;

    /// Converts from a value.
    ///
    /// # Errors
    /// Returns an error if the value does not match [`ReturnType::return_validator`].
    fn from_return(value: Value) -> Result<Self, DecodeError>;
}

impl<T: ValueType> ReturnType for T {
    fn return_validator() -> Validator {
        T::validator()
    }

    fn into_return(self) -> Value {
        T::into_value(self)
    }

    fn from_return(value: Value) -> Result<T, DecodeError> {
        T::from_value(value)
    }
}

impl<T: ValueType> ReturnType for Option<T> {
    fn return_validator() -> Validator {
        v::union([v::null(), nested_validator::<T>()])
    }

    fn into_return(self) -> Value {
        match self {
            Some(value) => value.into_value(),
            None => Value::Null,
        }
    }

    fn from_return(value: Value) -> Result<Option<T>, DecodeError> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree;

    impl ValueType for Tree {
        fn validator() -> Validator {
            v::object([("children", Option::<Vec<Tree>>::field_validator())])
        }

        fn into_value(self) -> Value {
            Value::Null
        }

        fn from_value(_: Value) -> Result<Tree, DecodeError> {
            Ok(Tree)
        }
    }

    #[test]
    #[should_panic(
        expected = "tests::Tree>` contains itself, and Convex has no recursive validators"
    )]
    fn a_recursive_implementation_by_hand_panics_with_its_name() {
        Tree::validator();
    }

    #[test]
    fn none_is_a_missing_field_and_a_null_result() {
        assert_eq!(None::<String>.into_field(), None);
        assert_eq!(None::<String>.into_return(), Value::Null);
        assert_eq!(
            <Option<String> as FieldType>::field_validator().to_string(),
            "v.optional(v.string())"
        );
        assert_eq!(
            Option::<String>::return_validator().to_string(),
            "v.union(v.null(), v.string())"
        );
    }
}
