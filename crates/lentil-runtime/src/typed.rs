//! The typed side of a call: arguments and results as Rust values.

use lentil_call::{Code, Error, Result};
use lentil_schema::{Args, IntoArgs};
use lentil_values::{Object, ReturnType, Value};

/// Returns the arguments of a call as an object.
pub(crate) fn arguments<A: Args>(args: impl IntoArgs<A>) -> Result<Object> {
    args.into_args()
        .map_err(|error| Error::new(Code::ArgumentValidation, format!("the arguments: {error}")))
}

/// Reads a function's result as the type that its caller expects.
pub(crate) fn typed<R: ReturnType>(result: Result<Value>) -> Result<R> {
    R::from_return(result.map_err(Error::into_callee_error)?)
        .map_err(|error| Error::new(Code::ReturnsValidation, format!("result {error}")))
}
