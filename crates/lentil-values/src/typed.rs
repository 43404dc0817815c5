//! Rust types as values.
//!
//! [`ValueType`] is a type that is a value; `#[derive(ValueType)]` makes one. [`FieldType`] is what a field can be:
//! such a type, or an `Option` of one, which is a field that may be missing. [`ReturnType`] is what a function can
//! return: such a type, an `Option` of one, whose `None` is null, or nothing.

use std::any::type_name;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Display;

use crate::{FieldName, FieldValidator, MAX_NESTING, Object, Validator, Value, ValuePath, v};

/// A value that a Rust type cannot hold: where, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", path.prefix())]
pub struct DecodeError {
    path: ValuePath,
    reason: String,
}

impl DecodeError {
    /// An error with the value as a whole.
    pub fn new(reason: impl Into<String>) -> DecodeError {
        DecodeError {
            path: ValuePath::root(),
            reason: reason.into(),
        }
    }

    /// The error of a value that is not what `expected` says.
    pub fn expected(expected: impl Display, got: &Value) -> DecodeError {
        DecodeError::new(format!("expected {expected}, got {got}"))
    }

    /// This error as seen from the object that holds the value in the field `name`.
    #[must_use]
    pub fn in_field(mut self, name: &str) -> DecodeError {
        self.path = self.path.in_field(name);
        self
    }

    /// This error as seen from the array that holds the value at `at`.
    #[must_use]
    pub fn in_element(mut self, at: usize) -> DecodeError {
        self.path = self.path.in_element(at);
        self
    }
}

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
fn nested_validator<T: ValueType>() -> Validator {
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
        Nullable::<T>::validator()
    }

    fn into_return(self) -> Value {
        self.map_or(Value::Null, T::into_value)
    }

    fn from_return(value: Value) -> Result<Option<T>, DecodeError> {
        Ok(Nullable::<T>::from_value(value)?.into_option())
    }
}

/// 2^53. A double holds every integer up to this one exactly.
const MAX_EXACT_INTEGER: u64 = 1 << 53;

macro_rules! count {
    ($($rust:ty)*) => {
        $(/// A count, as `v.number()`. The caller gets an error for a count above 2^53, which no double holds exactly.
        #[diagnostic::do_not_recommend]
        impl ReturnType for $rust {
            fn return_validator() -> Validator {
                v::number()
            }

            fn into_return(self) -> Value {
                let count = self as u64;
                if count <= MAX_EXACT_INTEGER {
                    Value::Float64(count as f64)
                } else {
                    // The return validator refuses an integer, so that no wrong digits are returned.
                    Value::Int64(i64::try_from(count).unwrap_or(i64::MAX))
                }
            }

            fn from_return(value: Value) -> Result<$rust, DecodeError> {
                let number = f64::from_value(value)?;
                let count = number as $rust;
                if count as f64 == number && number <= MAX_EXACT_INTEGER as f64 {
                    Ok(count)
                } else {
                    Err(DecodeError::new(format!(
                        "expected a whole number that fits in {}, got {number}",
                        stringify!($rust)
                    )))
                }
            }
        })*
    };
}

count!(u32 usize);

/// A value or null: `v.union(v.null(), T)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nullable<T> {
    /// Null.
    #[default]
    Null,
    /// The value.
    Value(T),
}

impl<T> Nullable<T> {
    /// `None` for null.
    pub fn into_option(self) -> Option<T> {
        match self {
            Nullable::Null => None,
            Nullable::Value(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for Nullable<T> {
    fn from(option: Option<T>) -> Nullable<T> {
        option.map_or(Nullable::Null, Nullable::Value)
    }
}

impl<V> From<Nullable<V>> for Value
where
    Value: From<V>,
{
    fn from(nullable: Nullable<V>) -> Value {
        match nullable {
            Nullable::Null => Value::Null,
            Nullable::Value(value) => Value::from(value),
        }
    }
}

impl<T: ValueType> ValueType for Nullable<T> {
    const DOES_NOT_CONTAIN_ITSELF: bool = T::DOES_NOT_CONTAIN_ITSELF;

    fn validator() -> Validator {
        v::union([v::null(), nested_validator::<T>()])
    }

    fn into_value(self) -> Value {
        self.into_option().map_or(Value::Null, T::into_value)
    }

    fn from_value(value: Value) -> Result<Nullable<T>, DecodeError> {
        if value.is_null() {
            Ok(Nullable::Null)
        } else {
            T::from_value(value).map(Nullable::Value)
        }
    }
}

macro_rules! scalar {
    ($($rust:ty, $variant:ident, $validator:ident;)*) => {
        $(#[diagnostic::do_not_recommend] // The trait's own notes list these better.
        impl ValueType for $rust {
            fn validator() -> Validator {
                v::$validator()
            }

            fn into_value(self) -> Value {
                Value::$variant(self)
            }

            fn from_value(value: Value) -> Result<$rust, DecodeError> {
                match value {
                    Value::$variant(inner) => Ok(inner),
                    other => Err(DecodeError::expected(v::$validator(), &other)),
                }
            }
        })*
    };
}

scalar! {
    String, String, string;
    f64, Float64, number;
    i64, Int64, int64;
    bool, Boolean, boolean;
    Vec<u8>, Bytes, bytes;
}

/// Null, as a value that a function returns when it has nothing to say.
impl ValueType for () {
    fn validator() -> Validator {
        v::null()
    }

    fn into_value(self) -> Value {
        Value::Null
    }

    fn from_value(value: Value) -> Result<(), DecodeError> {
        if value.is_null() {
            Ok(())
        } else {
            Err(DecodeError::expected(v::null(), &value))
        }
    }
}

/// Anything.
impl ValueType for Value {
    fn validator() -> Validator {
        v::any()
    }

    fn into_value(self) -> Value {
        self
    }

    fn from_value(value: Value) -> Result<Value, DecodeError> {
        Ok(value)
    }
}

/// An object of any fields.
impl ValueType for Object {
    fn validator() -> Validator {
        v::record(v::string(), v::any())
    }

    fn into_value(self) -> Value {
        Value::Object(self)
    }

    fn from_value(value: Value) -> Result<Object, DecodeError> {
        match value {
            Value::Object(object) => Ok(object),
            other => Err(DecodeError::expected("an object", &other)),
        }
    }
}

impl<T: ValueType> ValueType for Vec<T> {
    const DOES_NOT_CONTAIN_ITSELF: bool = T::DOES_NOT_CONTAIN_ITSELF;

    fn validator() -> Validator {
        v::array(nested_validator::<T>())
    }

    fn into_value(self) -> Value {
        Value::Array(self.into_iter().map(T::into_value).collect())
    }

    fn from_value(value: Value) -> Result<Vec<T>, DecodeError> {
        let Value::Array(elements) = value else {
            return Err(DecodeError::expected(Self::validator(), &value));
        };
        let element = |(at, element)| T::from_value(element).map_err(|error| error.in_element(at));
        elements.into_iter().enumerate().map(element).collect()
    }
}

/// A record.
///
/// A key that is no field name panics on the way into a value, which fails the function's call: to leave it out would
/// lose data in silence. Keys that come from input are better kept as [`FieldName`], which is checked when it is made.
impl<T: ValueType> ValueType for BTreeMap<String, T> {
    const DOES_NOT_CONTAIN_ITSELF: bool = T::DOES_NOT_CONTAIN_ITSELF;

    fn validator() -> Validator {
        v::record(v::string(), nested_validator::<T>())
    }

    fn into_value(self) -> Value {
        let name =
            |name: String| FieldName::new(name).expect("the keys of a record are field names");
        Value::Object(
            self.into_iter()
                .map(|(key, value)| (name(key), value.into_value()))
                .collect(),
        )
    }

    fn from_value(value: Value) -> Result<BTreeMap<String, T>, DecodeError> {
        let fields = BTreeMap::<FieldName, T>::from_value(value)?;
        Ok(fields
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect())
    }
}

/// A record.
impl<T: ValueType> ValueType for BTreeMap<FieldName, T> {
    const DOES_NOT_CONTAIN_ITSELF: bool = T::DOES_NOT_CONTAIN_ITSELF;

    fn validator() -> Validator {
        v::record(v::string(), nested_validator::<T>())
    }

    fn into_value(self) -> Value {
        Value::Object(
            self.into_iter()
                .map(|(name, value)| (name, value.into_value()))
                .collect(),
        )
    }

    fn from_value(value: Value) -> Result<BTreeMap<FieldName, T>, DecodeError> {
        let Value::Object(object) = value else {
            return Err(DecodeError::expected(Self::validator(), &value));
        };
        let field = |(name, value): (FieldName, Value)| match T::from_value(value) {
            Ok(value) => Ok((name, value)),
            Err(error) => Err(error.in_field(name.as_str())),
        };
        object.into_iter().map(field).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UnixMillis;

    fn round_trip<T: ValueType + Clone + PartialEq + std::fmt::Debug>(typed: T) {
        let value = typed.clone().into_value();
        assert_eq!(T::validator().validate(&value, &()), Ok(()));
        assert_eq!(T::from_value(value), Ok(typed));
    }

    #[test]
    fn types_round_trip_and_match_their_validators() {
        round_trip("x".to_owned());
        round_trip(1.5);
        round_trip(5_i64);
        round_trip(vec![1_u8, 2]);
        round_trip(vec![true, false]);
        round_trip(BTreeMap::from([("a".to_owned(), 1.0)]));
        round_trip(BTreeMap::from([(FieldName::from_static("a"), true)]));
        round_trip(());
        round_trip(Value::from("anything"));
        round_trip(Object::from_iter([(
            FieldName::from_static("a"),
            Value::Null,
        )]));
        round_trip(Nullable::Value("x".to_owned()));
        round_trip(Nullable::<String>::Null);
        round_trip(UnixMillis::new(5.0));
    }

    #[test]
    fn counts_are_numbers_up_to_the_largest_exact_one() {
        assert_eq!(7_u32.into_return(), Value::Float64(7.0));
        assert_eq!(usize::from_return(Value::Float64(7.0)), Ok(7));
        assert_eq!(usize::return_validator(), v::number());

        let largest = MAX_EXACT_INTEGER as usize;
        assert_eq!(usize::from_return(largest.into_return()), Ok(largest));

        for too_large in [largest + 1, usize::MAX] {
            let value = too_large.into_return();
            assert!(usize::return_validator().validate(&value, &()).is_err());
        }
    }

    #[test]
    fn numbers_that_are_not_counts_are_rejected() {
        for number in [-1.0, 1.5, f64::NAN, f64::INFINITY, 1e16] {
            assert!(usize::from_return(Value::Float64(number)).is_err());
        }
        assert_eq!(
            u32::from_return(Value::Float64(4_294_967_296.0))
                .unwrap_err()
                .to_string(),
            "expected a whole number that fits in u32, got 4294967296"
        );
        assert!(u32::from_return(Value::Int64(1)).is_err());
    }

    #[test]
    fn a_decode_error_names_the_place() {
        let value = Value::Array(vec![Value::Float64(1.0), "x".into()]);
        assert_eq!(
            Vec::<f64>::from_value(value).unwrap_err().to_string(),
            "`[1]`: expected v.number(), got \"x\""
        );
    }

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
