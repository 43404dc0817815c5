//! The typed side of a call: arguments and results as Rust values.

use lentil_call::{Code, Error, Result};
use lentil_schema::{Args, IntoArgs};
use lentil_values::{Object, ReturnType, Value};

/// The arguments of a call as an object.
pub(crate) enum CallArgs {
    /// Made from the function's own arguments struct, so they match its validator.
    Typed(Object),
    /// From outside. The validator has to check them.
    Untyped(Object),
}

impl CallArgs {
    pub(crate) fn object(&self) -> &Object {
        match self {
            CallArgs::Typed(object) | CallArgs::Untyped(object) => object,
        }
    }

    pub(crate) fn into_object(self) -> Object {
        match self {
            CallArgs::Typed(object) | CallArgs::Untyped(object) => object,
        }
    }
}

/// Returns the arguments of a call by another function, or by a test.
pub(crate) fn arguments<A: Args, I: IntoArgs<A>>(args: I) -> Result<CallArgs> {
    match args.into_args() {
        Ok(object) if I::IS_TYPED => Ok(CallArgs::Typed(object)),
        Ok(object) => Ok(CallArgs::Untyped(object)),
        Err(error) => {
            let message = format!("the arguments: {error}");
            Err(Error::new(Code::ArgumentValidation, message))
        }
    }
}

/// Reads a function's result as the type that its caller expects.
pub(crate) fn typed<R: ReturnType>(result: Result<Value>) -> Result<R> {
    R::from_return(result.map_err(Error::into_callee_error)?)
        .map_err(|error| Error::new(Code::ReturnsValidation, format!("result {error}")))
}
