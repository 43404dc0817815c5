//! The system's functions over the table `_scheduled_functions`.

use lentil_database::{DatabaseReader, SystemTable, TransactionCell};
use lentil_macros::{Args, ValueType};
use lentil_schema::{Doc, Document, Id};
use lentil_values::{DocumentId, Object, Value};

use super::scheduled_function::ScheduledCall;
use super::{CLOCK_STEP_MS, ScheduledFunction, ScheduledState};
use crate::engine::Engine;
use crate::{Code, Error, FunctionPath, Functions, MutationCtx, QueryCtx, Result};

/// Calls that one transaction deletes or changes; each may have megabytes of arguments.
pub(super) const BATCH: usize = 64;

pub(crate) fn functions() -> Functions {
    Functions::in_module("_system/scheduler")
        .internal_query("pending", pending)
        .internal_mutation("order", order)
        .internal_mutation("cancel", cancel)
        .internal_mutation("begin", begin)
        .internal_mutation("finish", finish)
        .internal_mutation("recover", recover)
        .internal_mutation("replan", replan)
        .internal_mutation("prune", prune)
}

/// The scheduled call that a mutation executes. The mutation records its end in its own transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScheduledRun(pub(crate) DocumentId);

impl ScheduledRun {
    /// Returns whether the call has not run yet.
    pub(crate) async fn is_pending(self, db: &DatabaseReader) -> Result<bool> {
        let mut calls = SystemTable::<ScheduledCall>::of(db)?;
        let found = calls.get_uncounted(self.0).await?;
        Ok(found.is_some_and(|call| call.state == ScheduledState::Pending))
    }

    /// Records that the call has succeeded.
    ///
    /// # Errors
    /// [`Code::CancelsItself`] when the mutation has canceled itself.
    pub(crate) async fn succeed(self, db: &DatabaseReader) -> Result<()> {
        if end(db, self.0, ScheduledState::Success).await? {
            return Ok(());
        }
        let message =
            "a scheduled mutation cannot cancel itself while it runs; return early or fail instead";
        Err(Error::new(Code::CancelsItself, message))
    }
}

/// Ends a call that has not ended, and returns whether it did.
async fn end(db: &DatabaseReader, id: DocumentId, state: ScheduledState) -> Result<bool> {
    let mut calls = SystemTable::<ScheduledCall>::of(db)?;
    match calls.get_uncounted(id).await? {
        Some(call) if call.state.is_open() => {
            set_ended(&mut calls, &call, state).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

async fn set_ended(
    calls: &mut SystemTable<ScheduledCall>,
    call: &Doc<ScheduledCall>,
    state: ScheduledState,
) -> Result<()> {
    let patch = ScheduledCall::patch()
        .state(state)
        .completed_time(calls.now_ms());
    calls.patch(&call.id, patch).await
}

/// A call to be written.
#[derive(Args)]
pub(super) struct Order {
    pub(super) name: String,
    /// The arguments, an object.
    pub(super) args: Value,
    /// The time at which the call is due, in milliseconds since the Unix epoch.
    pub(super) at: f64,
    /// The time from which its delay counts.
    pub(super) delayed_from: Option<f64>,
    /// The scheduled call that schedules this one.
    pub(super) caller: Option<Id<ScheduledFunction>>,
}

/// Writes a call. It is canceled from the start if the scheduled call that schedules it was canceled.
///
/// The caller's state is read in the transaction that writes the call, so that the store detects a cancellation that
/// commits meanwhile.
pub(super) async fn write(cell: &TransactionCell, order: Order) -> Result<Id<ScheduledFunction>> {
    let mut calls = SystemTable::<ScheduledCall>::open(cell)?;
    let is_canceled = match order.caller {
        // The document of a call is deleted long after the call has ended.
        Some(caller) => calls
            .get_uncounted(caller.document_id())
            .await?
            .is_none_or(|caller| caller.state == ScheduledState::Canceled),
        None => false,
    };
    let (state, completed_time) = if is_canceled {
        (ScheduledState::Canceled, Some(calls.now_ms()))
    } else {
        (ScheduledState::Pending, None)
    };
    let id = calls.insert(ScheduledCall {
        name: FunctionPath::parse(&order.name)?.to_js(),
        args: vec![order.args],
        scheduled_time: order.at,
        completed_time,
        state,
        delayed_from: order.delayed_from,
    })?;
    Ok(Id::new(id.document_id()))
}

pub(super) async fn order(ctx: &mut MutationCtx, args: Order) -> Result<Id<ScheduledFunction>> {
    write(ctx.db.slot(), args).await
}

#[derive(Args)]
pub(super) struct Call {
    pub(super) id: Id<ScheduledFunction>,
}

/// Cancels a call that has not ended. A scheduled mutation that cancels itself fails at its end.
pub(super) async fn cancel_in(cell: &TransactionCell, id: &Id<ScheduledFunction>) -> Result<()> {
    let mut calls = SystemTable::<ScheduledCall>::open(cell)?;
    match calls.get("scheduler.cancel", id.document_id()).await? {
        Some(call) if call.state.is_open() => {
            set_ended(&mut calls, &call, ScheduledState::Canceled).await
        }
        _ => Ok(()),
    }
}

pub(super) async fn cancel(ctx: &mut MutationCtx, args: Call) -> Result<()> {
    cancel_in(ctx.db.slot(), &args.id).await
}

/// Returns whether a call has ended, or does not exist.
pub(super) async fn has_ended(db: &DatabaseReader, id: &Id<ScheduledFunction>) -> Result<bool> {
    let mut calls = SystemTable::<ScheduledCall>::of(db)?;
    let found = calls.get_uncounted(id.document_id()).await?;
    Ok(found.is_none_or(|call| !call.state.is_open()))
}

/// Marks an action as started, and returns whether it was pending.
pub(super) async fn begin(ctx: &mut MutationCtx, args: Call) -> Result<bool> {
    let mut calls = SystemTable::<ScheduledCall>::of(&ctx.db)?;
    match calls.get_uncounted(args.id.document_id()).await? {
        Some(call) if call.state == ScheduledState::Pending => {
            let patch = ScheduledCall::patch().state(ScheduledState::InProgress);
            calls.patch(&call.id, patch).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

#[derive(Args)]
pub(super) struct Finish {
    pub(super) id: Id<ScheduledFunction>,
    /// The reason for which the call failed; `None` if it succeeded.
    pub(super) error: Option<String>,
}

/// Records the end of a call.
pub(super) async fn finish(ctx: &mut MutationCtx, args: Finish) -> Result<()> {
    let state = match args.error {
        Some(error) => ScheduledState::Failed { error },
        None => ScheduledState::Success,
    };
    end(&ctx.db, args.id.document_id(), state).await?;
    Ok(())
}

#[derive(Args)]
pub(super) struct Limit {
    pub(super) limit: f64,
}

/// A call that has not run yet.
#[derive(ValueType, Clone)]
pub(super) struct Pending {
    pub(super) id: Id<ScheduledFunction>,
    pub(super) name: String,
    /// The time at which it is due, in milliseconds since the Unix epoch.
    pub(super) at: f64,
}

/// Returns the next calls to run, in the order of their times.
pub(super) async fn pending(ctx: &mut QueryCtx, args: Limit) -> Result<Vec<Pending>> {
    let range = ScheduledCall::BY_STATE.eq(ScheduledState::Pending.kind());
    let calls = SystemTable::of(&ctx.db)?
        .scan(range, args.limit as usize)
        .await?;
    let pending = calls.into_iter().map(|call| Pending {
        id: Id::new(call.id.document_id()),
        name: call.fields.name,
        at: call.fields.scheduled_time,
    });
    Ok(pending.collect())
}

/// Marks the next actions that a crash has interrupted as failed, and returns their number.
pub(super) async fn recover(ctx: &mut MutationCtx, (): ()) -> Result<usize> {
    let mut calls = SystemTable::<ScheduledCall>::of(&ctx.db)?;
    let range = ScheduledCall::BY_STATE.eq(ScheduledState::InProgress.kind());
    let interrupted = calls.scan(range, BATCH).await?;
    for call in &interrupted {
        let error =
            "the server stopped while the action ran; it may have done part of its work".to_owned();
        set_ended(&mut calls, call, ScheduledState::Failed { error }).await?;
    }
    Ok(interrupted.len())
}

#[derive(Args)]
pub(super) struct After {
    /// The index key at which to start; `None` for the first batch.
    pub(super) after: Option<Vec<u8>>,
}

/// Restarts the delays of the next calls that seem to have been scheduled in the future.
///
/// Returns the index key at which the next batch starts; `None` after the last batch.
pub(super) async fn replan(ctx: &mut MutationCtx, args: After) -> Result<Option<Vec<u8>>> {
    let mut calls = SystemTable::<ScheduledCall>::of(&ctx.db)?;
    let now_ms = calls.now_ms();
    let range = ScheduledCall::BY_STATE.eq(ScheduledState::Pending.kind());
    let batch = calls.scan_after(range, args.after, BATCH).await?;
    for call in batch.documents {
        let Some(from_ms) = call.delayed_from else {
            continue;
        };
        if from_ms > now_ms + CLOCK_STEP_MS {
            let patch = ScheduledCall::patch()
                .scheduled_time(now_ms + (call.scheduled_time - from_ms))
                .delayed_from(now_ms);
            calls.patch(&call.id, patch).await?;
        }
    }
    Ok(batch.next)
}

#[derive(Args, Clone)]
pub(super) struct Prune {
    pub(super) before_ms: f64,
}

/// Deletes the next calls that ended before a time, and returns their number.
pub(super) async fn prune(ctx: &mut MutationCtx, args: Prune) -> Result<usize> {
    let mut calls = SystemTable::<ScheduledCall>::of(&ctx.db)?;
    // Calls that have not ended lack the field, and come before every number.
    let range = ScheduledCall::BY_COMPLETION
        .gte(f64::NEG_INFINITY)
        .lt(args.before_ms);
    let ended = calls.scan(range, BATCH).await?;
    for call in &ended {
        calls.delete(&call.id).await?;
    }
    Ok(ended.len())
}

/// Returns the arguments of a scheduled call; `None` if it does not exist.
pub(super) async fn args_of(engine: &Engine, id: DocumentId) -> Result<Option<Object>> {
    let mut calls = SystemTable::<ScheduledCall>::of(&engine.reading().await?)?;
    let found = calls.get_uncounted(id).await?;
    let args = found.and_then(|call| call.fields.args.into_iter().next());
    match args {
        Some(Value::Object(args)) => Ok(Some(args)),
        _ => Ok(None),
    }
}
