use lentil_call::{Code, Error, Result};
use lentil_database::{SystemTable, TransactionCell};
use lentil_schema::{Document, Id};
use lentil_values::{DocumentId, Object, Value};

use super::document::{ScheduledCall, ScheduledFunction, ScheduledState};

/// A call to be scheduled.
#[derive(Clone)]
pub(crate) struct NewCall {
    /// The function's path, in the form of JavaScript.
    pub(crate) name: String,
    pub(crate) args: Object,
    /// The time at which the call is due, in milliseconds since the Unix epoch.
    pub(crate) at_ms: f64,
    /// The time from which its delay counts.
    pub(crate) delayed_from_ms: Option<f64>,
    /// The scheduled call that schedules this one.
    pub(crate) caller: Option<Id<ScheduledFunction>>,
}

/// Writes a call. It is canceled from the start if the scheduled call that schedules it was
/// canceled.
///
/// The caller's state is read in the transaction that writes the call, so that the store detects a
/// cancellation that commits meanwhile.
pub(crate) async fn schedule(
    cell: &TransactionCell,
    call: NewCall,
) -> Result<Id<ScheduledFunction>> {
    let mut calls = SystemTable::<ScheduledCall>::open(cell)?;
    let is_canceled = match call.caller {
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
        name: call.name,
        args: vec![Value::Object(call.args)],
        scheduled_time: call.at_ms,
        completed_time,
        state,
        delayed_from: call.delayed_from_ms,
    })?;
    Ok(Id::new(id.document_id()))
}

/// Cancels a call that has not ended. A scheduled mutation that cancels itself fails at its end.
pub(crate) async fn cancel(cell: &TransactionCell, id: &Id<ScheduledFunction>) -> Result<()> {
    let mut calls = SystemTable::<ScheduledCall>::open(cell)?;
    let found = calls.get("scheduler.cancel", id.document_id()).await?;
    // `end` opens the table again, and the transaction can be borrowed only once at a time.
    drop(calls);
    if found.is_some() {
        end(cell, id.document_id(), ScheduledState::Canceled).await?;
    }
    Ok(())
}

/// Marks an action as started, and returns whether it was pending.
pub(crate) async fn begin(cell: &TransactionCell, id: DocumentId) -> Result<bool> {
    let mut calls = SystemTable::<ScheduledCall>::open(cell)?;
    match calls.get_uncounted(id).await? {
        Some(call) if call.state == ScheduledState::Pending => {
            let patch = ScheduledCall::patch().state(ScheduledState::InProgress);
            calls.patch(&call.id, patch).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Ends a call that has not ended, and returns whether it did.
pub(crate) async fn end(
    cell: &TransactionCell,
    id: DocumentId,
    state: ScheduledState,
) -> Result<bool> {
    let mut calls = SystemTable::<ScheduledCall>::open(cell)?;
    match calls.get_uncounted(id).await? {
        Some(call) if call.state.is_open() => {
            let patch = ScheduledCall::patch()
                .state(state)
                .completed_time(calls.now_ms());
            calls.patch(&call.id, patch).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Returns the arguments of a call; `None` if it does not exist.
pub(crate) async fn args_of(cell: &TransactionCell, id: DocumentId) -> Result<Option<Object>> {
    let mut calls = SystemTable::<ScheduledCall>::open(cell)?;
    let found = calls.get_uncounted(id).await?;
    match found.and_then(|call| call.fields.args.into_iter().next()) {
        Some(Value::Object(args)) => Ok(Some(args)),
        _ => Ok(None),
    }
}

/// The scheduled call that a mutation executes. The mutation records its end in its own
/// transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScheduledRun(pub(crate) DocumentId);

impl ScheduledRun {
    /// Returns whether the call has not run yet.
    pub(crate) async fn is_pending(self, cell: &TransactionCell) -> Result<bool> {
        let mut calls = SystemTable::<ScheduledCall>::open(cell)?;
        let found = calls.get_uncounted(self.0).await?;
        Ok(found.is_some_and(|call| call.state == ScheduledState::Pending))
    }

    /// Records that the call has succeeded.
    ///
    /// # Errors
    /// [`Code::CancelsItself`] when the mutation has canceled itself.
    pub(crate) async fn succeed(self, cell: &TransactionCell) -> Result<()> {
        if end(cell, self.0, ScheduledState::Success).await? {
            return Ok(());
        }
        let message =
            "a scheduled mutation cannot cancel itself while it runs; return early or fail instead";
        Err(Error::new(Code::CancelsItself, message))
    }
}
