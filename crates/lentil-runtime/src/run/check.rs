use lentil_call::check_size;
use lentil_values::{Object, Value};

use crate::{Code, Error, Function, Result, Runtime};

/// Holds arguments against the size limit and the function's validator.
pub(crate) fn check_args(runtime: &Runtime, function: &Function, args: &Object) -> Result<()> {
    fits(runtime, function, args).map_err(Error::into_rejected_call)
}

fn fits(runtime: &Runtime, function: &Function, args: &Object) -> Result<()> {
    let path = &function.path;
    check_size(
        format_args!("the arguments of `{path}`"),
        args.size(),
        runtime.limits().argument_bytes,
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
        .validate(args, runtime.tables())
        .map_err(|error| Error::new(Code::ArgumentValidation, format!("argument {error}")))
}

/// Holds a result against the size limit and the function's validator.
pub(crate) fn check_result(runtime: &Runtime, function: &Function, result: &Value) -> Result<()> {
    let path = &function.path;
    check_size(
        format_args!("the result of `{path}`"),
        result.size(),
        runtime.limits().result_bytes,
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
        .validate(result, runtime.tables())
        .map_err(|error| {
            Error::new(
                Code::ReturnsValidation,
                format!("the result of `{path}`: {error}"),
            )
        })
}
