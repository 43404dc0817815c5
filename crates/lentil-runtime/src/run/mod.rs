//! Running functions: from outside, from actions, and nested in one another.

mod action;
mod check;
mod guard;
mod mutation;
mod nested;
mod query;
mod snapshot;
mod to_its_end;
mod turn;

use lentil_schema::{Args, IntoArgs};
use lentil_values::{Object, ReturnType, Value};

pub(crate) use check::check_args;
pub(crate) use guard::guard;
pub(crate) use mutation::Once;
pub(crate) use nested::{call_nested_mutation, call_nested_query, wrong_kind};
pub(crate) use query::into_value;
pub use snapshot::QuerySnapshot;
pub(crate) use to_its_end::ToItsEnd;
pub(crate) use turn::TurnHolder;

use crate::{Code, Error, Result};

/// Reads a function's result as the type its caller expects.
pub(crate) fn typed<R: ReturnType>(result: Result<Value>) -> Result<R> {
    R::from_return(result.map_err(Error::into_callee_error)?)
        .map_err(|error| Error::new(Code::ReturnsValidation, format!("result {error}")))
}

/// What a call was given, as fields.
pub(crate) fn arguments<A: Args>(args: impl IntoArgs<A>) -> Result<Object> {
    args.into_args()
        .map_err(|error| Error::new(Code::ArgumentValidation, format!("the arguments: {error}")))
}
