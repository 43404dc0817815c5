use std::sync::LazyLock;

use lentil_values::{DecodeError, Object, ObjectValidator, Value};

use crate::derived::nothing_left;

/// The arguments of a function: a struct with `#[derive(Args)]`, or `()` for none.
///
/// The same struct can derive `Document`, `ValueType` and `Args` together.
///
/// ```
/// # extern crate lentil_schema as lentil;
/// use lentil_macros::Args;
/// use lentil_schema::Args;
///
/// /// The arguments of `list`.
/// #[derive(Args)]
/// pub struct List {
///     /// The status of the jobs.
///     pub status: String,
///     /// The maximum number of jobs; all if missing.
///     pub at_most: Option<f64>,
/// }
///
/// let fields = List { status: "done".into(), at_most: None }.into_object();
/// assert_eq!(fields.len(), 1);
/// assert!(List::validator().validate(&fields, &()).is_ok());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the arguments of a function",
    label = "does not derive `Args`",
    note = "the arguments of a function are one struct with `#[derive(Args)]`, or `()`"
)]
pub trait Args: Sized + Send + 'static {
    /// Returns the validator of the arguments.
    fn validator() -> &'static ObjectValidator;

    /// Converts into an object.
    fn into_object(self) -> Object;

    /// Converts from an object.
    ///
    /// # Errors
    /// Returns an error if the object does not match the validator.
    fn from_object(object: Object) -> Result<Self, DecodeError>;
}

impl Args for () {
    fn validator() -> &'static ObjectValidator {
        static EMPTY: LazyLock<ObjectValidator> = LazyLock::new(ObjectValidator::default);
        &EMPTY
    }

    fn into_object(self) -> Object {
        Object::new()
    }

    fn from_object(object: Object) -> Result<(), DecodeError> {
        nothing_left(&object)
    }
}

/// A value that a call passes as arguments of type `A`: an `A`, or a `Value` or `Object` that the
/// call validates.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the arguments of this function",
    label = "expected `{A}`",
    note = "pass the struct `{A}`, or a `Value` or `Object`, which the call validates"
)]
pub trait IntoArgs<A: Args> {
    /// Whether every value matches the validator of `A`, because it is an `A`. The tables of ids
    /// are checked at the call even then.
    const IS_TYPED: bool = false;

    /// Converts into an object.
    ///
    /// # Errors
    /// Returns an error if a `Value` is not an object.
    fn into_args(self) -> Result<Object, DecodeError>;
}

impl IntoArgs<()> for () {
    const IS_TYPED: bool = true;

    fn into_args(self) -> Result<Object, DecodeError> {
        Ok(Object::new())
    }
}

impl<A: Args> IntoArgs<A> for Object {
    fn into_args(self) -> Result<Object, DecodeError> {
        Ok(self)
    }
}

impl<A: Args> IntoArgs<A> for Value {
    fn into_args(self) -> Result<Object, DecodeError> {
        match self {
            Value::Object(object) => Ok(object),
            other => Err(DecodeError::expected("an object", &other)),
        }
    }
}
