use std::sync::Arc;

use lentil_call::{FunctionKind, Result};
use lentil_values::Value;
use tokio::time::Instant;

use super::check::{check_args, check_result};
use super::nested::wrong_kind;
use super::timeout::run_with_timeout;
use crate::engine::{Call, Function, Runner};
use crate::typed::CallArgs;

/// Runs a registered action, and records the execution.
pub(crate) async fn run_action(function: &Function, args: CallArgs, call: Call) -> Result<Value> {
    let Runner::Action(run) = &function.runner else {
        return Err(wrong_kind(function, FunctionKind::Action));
    };
    let name = function.path.shared();
    let began = Instant::now();
    let call = Arc::new(call);
    let engine = &call.engine;
    let result = match check_args(engine, function, &args) {
        Ok(()) => {
            // An action is never retried, because it may have had effects outside of the database.
            let limit = engine.limits().action_time;
            run_with_timeout(
                &name,
                began,
                limit,
                run(Arc::clone(&call), args.into_object()).as_mut(),
            )
            .await
        }
        Err(error) => Err(error),
    };
    let result = result.and_then(|value| check_result(engine, function, &value).map(|()| value));
    let kind = Some(FunctionKind::Action);
    engine.record(&call, call.ended(name, kind, began, &result));
    result
}
