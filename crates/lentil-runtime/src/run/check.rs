use lentil_call::{Code, Error, Result, check_size};
use lentil_values::{Object, Value};

use crate::engine::{Engine, Function};
use crate::typed::CallArgs;

/// Checks arguments against the size limits and, unless they are of the function's own type,
/// against its validator.
pub(crate) fn check_args(engine: &Engine, function: &Function, args: &CallArgs) -> Result<()> {
    match args {
        // The type of an id does not guarantee its table: an application may parse any text as one.
        CallArgs::Typed(object) if !function.args_have_ids => {
            check_limits(engine, function, object).map_err(Error::into_rejected_call)
        }
        CallArgs::Typed(object) | CallArgs::Untyped(object) => {
            check_untyped_args(engine, function, object)
        }
    }
}

/// Checks arguments from outside against the size limits and the function's validator.
pub(crate) fn check_untyped_args(
    engine: &Engine,
    function: &Function,
    args: &Object,
) -> Result<()> {
    check_limits(engine, function, args)
        .and_then(|()| validate(engine, function, args))
        .map_err(Error::into_rejected_call)
}

fn check_limits(engine: &Engine, function: &Function, args: &Object) -> Result<()> {
    let path = &function.path;
    check_size(
        format_args!("the arguments of `{path}`"),
        args.size(),
        engine.limits().argument_bytes,
    )?;
    args.check_limits().map_err(|error| {
        let message = format!("the arguments of `{path}`: {error}");
        Error::new(Code::ValueTooLarge, message)
    })
}

fn validate(engine: &Engine, function: &Function, args: &Object) -> Result<()> {
    function
        .args
        .validate(args, engine.tables())
        .map_err(|error| Error::new(Code::ArgumentValidation, format!("argument {error}")))
}

/// Checks a result against the size limits and the function's validator.
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
