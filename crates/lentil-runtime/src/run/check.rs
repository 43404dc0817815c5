use lentil_call::{Code, Error, Result, check_size};
use lentil_values::{Object, Value};

use crate::engine::{Engine, Function};

/// Holds arguments against the size limit and the function's validator.
pub(crate) fn check_args(engine: &Engine, function: &Function, args: &Object) -> Result<()> {
    fits(engine, function, args).map_err(Error::into_rejected_call)
}

fn fits(engine: &Engine, function: &Function, args: &Object) -> Result<()> {
    let path = &function.path;
    check_size(
        format_args!("the arguments of `{path}`"),
        args.size(),
        engine.limits().argument_bytes,
    )?;
    let checked = args.check_limits();
    checked.map_err(|error| {
        Error::new(
            Code::ValueTooLarge,
            format!("the arguments of `{path}`: {error}"),
        )
    })?;
    function
        .args
        .validate(args, engine.tables())
        .map_err(|error| Error::new(Code::ArgumentValidation, format!("argument {error}")))
}

/// Holds a result against the size limit and the function's validator.
pub(crate) fn check_result(engine: &Engine, function: &Function, result: &Value) -> Result<()> {
    let path = &function.path;
    check_size(
        format_args!("the result of `{path}`"),
        result.size(),
        engine.limits().result_bytes,
    )?;
    let checked = result.check_limits();
    checked.map_err(|error| {
        Error::new(
            Code::ValueTooLarge,
            format!("the result of `{path}`: {error}"),
        )
    })?;
    function
        .returns
        .validate(result, engine.tables())
        .map_err(|error| {
            Error::new(
                Code::ReturnsValidation,
                format!("the result of `{path}`: {error}"),
            )
        })
}
