use std::sync::Arc;

use lentil_call::{Caller, FunctionKind, Result};
use lentil_store::Timestamp;
use lentil_values::Value;
use tokio::time::Instant;
use tracing::Instrument;

use crate::engine::{Call, Engine};
use crate::function_call::{FunctionCall, FunctionOutcome};
use crate::internal;
use crate::memory::Charge;
use crate::run::{Idempotency, RunToCompletion, copy_value, run_action, run_mutation, run_query};
use crate::typed::CallArgs;

/// The result of a call, a timestamp that includes all that it wrote and read, and the charge for
/// the result.
type Done = (Value, Timestamp, Charge);

/// Runs a function by its path to completion: a caller that goes away loses the result, not the
/// work.
///
/// `kind` is the kind that the caller expects, if it expects one.
pub(crate) async fn call(
    engine: &Engine,
    mut call: FunctionCall,
    kind: Option<FunctionKind>,
) -> FunctionOutcome {
    let source = call.source.take();
    let source = source.unwrap_or_else(|| engine.new_source(Caller::Tester));
    let source = Arc::new(source);
    let name = call.path.shared();
    let request_id = source.request_id.clone();
    let identity = call.identity.clone();
    let context = Call::outermost(engine.clone(), identity, Arc::clone(&source), &name);
    let log = context.log.clone();
    let span = context.span();
    let running = async move {
        let done = dispatch_once(call, kind, context).await;
        // Logged inside the part that runs to completion, so that a failure is logged even if the
        // caller has gone away.
        if let Err(error) = &done {
            source.log_failure(&name, error);
        }
        done
    };
    let (result, timestamp, charge) = match RunToCompletion::new(running.instrument(span)).await {
        Ok((value, timestamp, charge)) => (Ok(value), timestamp, charge),
        // The error may depend on what the function read. Those commits are published by now.
        Err(error) => (Err(error), engine.published(), Charge::default()),
    };
    FunctionOutcome {
        result,
        log_lines: log.lines(),
        timestamp,
        request_id,
        charge,
    }
}

/// Runs a function, or returns the recorded result if the call repeats a request.
async fn dispatch_once(
    call: FunctionCall,
    kind: Option<FunctionKind>,
    context: Call,
) -> Result<Done> {
    let engine = context.engine.clone();
    let request = call.request.clone();
    let done = dispatch(call, kind, context).await;
    match (&done, request) {
        // The recorded result is valid even if the function's name or arguments have changed since.
        (Err(error), Some(request)) if error.is_rejected_call() => {
            match request.recorded(&internal::read(&engine).await?).await? {
                Some(value) => Ok((value, engine.published(), Charge::default())),
                None => done,
            }
        }
        _ => done,
    }
}

async fn dispatch(call: FunctionCall, kind: Option<FunctionKind>, context: Call) -> Result<Done> {
    let engine = context.engine.clone();
    let began = Instant::now();
    let args = CallArgs::Untyped(call.args);
    let visibility = call.identity.visibility();
    let function = match engine.registry().named(&call.path, visibility) {
        Ok(function) => function,
        Err(error) => {
            let rejected = Err(error);
            let ended = context.ended(call.path.shared(), kind, began, &rejected);
            engine.record(&context, ended);
            return rejected;
        }
    };
    // The expected kind decides; each branch rejects a function of another kind.
    match kind.unwrap_or(function.kind()) {
        FunctionKind::Query => {
            let found = run_query(&function, args, None, &context).await?;
            let (value, copies) = copy_value(&found, &call.charge).await?;
            Ok((value, found.timestamp, copies))
        }
        FunctionKind::Mutation => {
            let idempotency = match &call.request {
                Some(request) => Idempotency::Session(request),
                None => Idempotency::None,
            };
            let committed = run_mutation(&function, args, &context, idempotency);
            let (value, timestamp) = committed.await?;
            Ok((value, timestamp, Charge::default()))
        }
        FunctionKind::Action => {
            let value = run_action(&function, args, context).await?;
            // The mutations of the action are published when they return to it.
            Ok((value, engine.published(), Charge::default()))
        }
    }
}
