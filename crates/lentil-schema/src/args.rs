use std::sync::LazyLock;

use lentil_values::{DecodeError, Object, ObjectValidator, Value};

use crate::derived::nothing_left;

/// A function's arguments: one struct, `#[derive(Args)]`; `()` is no arguments.
///
/// ```
/// # extern crate lentil_schema as lentil;
/// use lentil_macros::Args;
/// use lentil_schema::Args;
///
/// /// Which jobs to list.
/// #[derive(Args)]
/// pub struct List {
///     /// How far they are.
///     pub status: String,
///     /// How many at most; all unless given.
///     pub at_most: Option<f64>,
/// }
///
/// let fields = List { status: "done".into(), at_most: None }.into_object();
/// assert_eq!(fields.len(), 1);
/// assert!(List::validator().validate(&fields, &()).is_ok());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a function's arguments",
    label = "not `#[derive(Args)]`",
    note = "a function takes one struct with `#[derive(Args)]`, or `()`"
)]
pub trait Args: Sized + Send + 'static {
    /// What the arguments must be.
    fn validator() -> &'static ObjectValidator;

    /// The arguments as fields.
    fn into_object(self) -> Object;

    /// Reads arguments that match the validator.
    ///
    /// # Errors
    /// When they do not.
    fn from_object(object: Object) -> Result<Self, DecodeError>;
}

impl Args for () {
    fn validator() -> &'static ObjectValidator {
        static NOTHING: LazyLock<ObjectValidator> = LazyLock::new(ObjectValidator::default);
        &NOTHING
    }

    fn into_object(self) -> Object {
        Object::new()
    }

    fn from_object(object: Object) -> Result<(), DecodeError> {
        nothing_left(&object)
    }
}

/// What a call can give for arguments of type `A`: an `A`, or a value that is checked when the call is made.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what this function takes",
    label = "expected `{A}`",
    note = "give the function's own arguments struct, or a `Value` or `Object`, which is validated at the call"
)]
pub trait IntoArgs<A: Args> {
    /// The arguments as fields.
    ///
    /// # Errors
    /// When a `Value` is no object.
    fn into_args(self) -> Result<Object, DecodeError>;
}

impl IntoArgs<()> for () {
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
