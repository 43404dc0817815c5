use std::any::type_name;
use std::cell::Cell;

use super::error::DecodeError;
use crate::limits::MAX_NESTING;
use crate::validator::{FieldValidator, Validator, v};
use crate::value::Value;

/// A Rust type that is a Convex value.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no Convex value",
    label = "no Convex value",
    note = "use `f64` for v.number(), `i64` for v.int64(), `String`, `bool`, `Vec<u8>` for v.bytes(), `Vec<T>`, `BTreeMap<String, T>` for v.record(), `Id<T>`, `Nullable<T>`, or a type with `#[derive(ValueType)]`",
    note = "`Option<T>` is a field that may be missing; a value that may be null is `Nullable<T>`"
)]
pub trait ValueType: Sized {
    /// Fails to compile for a type that contains itself, whose validator would have no end.
    ///
    /// The derives compute it from the types of the fields, so that the compiler finds the cycle. A type that is
    /// implemented by hand and contains others of unknown types does the same.
    #[doc(hidden)]
    const DOES_NOT_CONTAIN_ITSELF: bool = true;

    /// What its values are.
    fn validator() -> Validator;
    /// The value.
    fn into_value(self) -> Value;
    /// Reads a value.
    ///
    /// # Errors
    /// When the value is not what [`ValueType::validator`] says.
    fn from_value(value: Value) -> Result<Self, DecodeError>;
}

/// A Rust type that a document's or an argument's field can have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field",
    label = "no Convex value",
    note = "use `f64` for v.number(), `i64` for v.int64(), `String`, `bool`, `Vec<u8>` for v.bytes(), `Vec<T>`, `BTreeMap<String, T>` for v.record(), `Id<T>`, `Nullable<T>`, or a type with `#[derive(ValueType)]`",
    note = "a field that may be missing is an `Option` of one of these"
)]
pub trait FieldType: Sized {
    /// The type of the same field where it may be missing: an `Option`, of one level.
    #[doc(hidden)]
    type OrMissing: FieldType;

    /// As [`ValueType::DOES_NOT_CONTAIN_ITSELF`].
    #[doc(hidden)]
    const DOES_NOT_CONTAIN_ITSELF: bool = true;

    /// What the field must be.
    fn field_validator() -> FieldValidator;
    /// The field's value; `None` when it is missing.
    fn into_field(self) -> Option<Value>;
    /// Reads the field.
    ///
    /// # Errors
    /// When it is missing and may not be, or is not what the validator says.
    fn from_field(value: Option<Value>) -> Result<Self, DecodeError>;
}

/// Types nested more deeply than this contain themselves: their values could not be stored.
const MAX_TYPE_NESTING: usize = 2 * MAX_NESTING;

thread_local! {
    static TYPE_NESTING: Cell<usize> = const { Cell::new(0) };
}

/// Returns the validator of a type inside another type.
///
/// # Panics
/// Panics if the type contains itself. The derives find that when they are compiled, but an implementation by hand
/// could recurse until the stack overflows.
pub(super) fn nested_validator<T: ValueType>() -> Validator {
    struct Leave(usize);

    impl Drop for Leave {
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
    // Restores the depth also when a validator panics.
    let _leave = Leave(depth);
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
        T::from_value(
            value
                .ok_or_else(|| DecodeError::new(format!("missing, expected {}", T::validator())))?,
        )
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

/// A Rust type that a function can return.
#[diagnostic::on_unimplemented(
    message = "a function cannot return `{Self}`",
    label = "no Convex value",
    note = "return a value type, an `Option` of one (`None` is null), a `Vec` of one, or `()`"
)]
pub trait ReturnType: Sized {
    /// What its values are.
    fn return_validator() -> Validator;
    /// The value.
    fn into_return(self) -> Value;
    /// Reads a value.
    ///
    /// # Errors
    /// When the value is not what [`ReturnType::return_validator`] says.
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
    fn a_recursive_type_by_hand_is_named() {
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
