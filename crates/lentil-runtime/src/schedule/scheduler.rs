use std::time::Duration;

use lentil_call::{Code, Error, FunctionPath, Result, check_size};
use lentil_database::TransactionCell;
use lentil_schema::{Args, Id, IntoArgs};
use lentil_values::{MAX_NESTING, Object, Value};

use crate::engine::{BoxFuture, Call, Engine};
use crate::internal;
use crate::scheduled_calls::{self, NewCall, ScheduledFunction};
use crate::typed::{CallArgs, arguments};

/// The maximum distance between now and a scheduled time: five years.
const MAX_DISTANCE_MS: f64 = 5.0 * 366.0 * 24.0 * 60.0 * 60.0 * 1e3;

/// Runs functions later, `ctx.scheduler`.
///
/// In a mutation, scheduling is a part of the transaction: a mutation that fails schedules nothing.
/// In an action, it takes effect at once. A scheduled mutation runs exactly once, a scheduled
/// action at most once. A time in the past means as soon as possible. Scheduled functions run
/// without a user, and may be internal functions.
///
/// Functions that a canceled scheduled function schedules do not run: their documents are canceled
/// from the start. This also holds for the mutations and actions that it calls.
#[derive(Clone)]
pub struct Scheduler {
    engine: Engine,
    /// The transaction of a mutation; `None` in an action.
    cell: Option<TransactionCell>,
    /// The scheduled function that schedules, if one does.
    caller: Option<Id<ScheduledFunction>>,
}

/// The time at which a call is due.
#[derive(Clone, Copy)]
enum DueTime {
    /// After a delay from now on.
    After(Duration),
    /// At a time, in milliseconds since the Unix epoch.
    At(f64),
}

/// A function that can be scheduled: a mutation (`C` is [`MutationCtx`](crate::MutationCtx)) or an
/// action ([`ActionCtx`](crate::ActionCtx)).
#[diagnostic::on_unimplemented(
    message = "this function cannot be scheduled",
    label = "expected a mutation or an action that takes `{A}`",
    note = "a query cannot be scheduled: it only returns a value",
    note = "a mutation is an `async fn(ctx: &mut MutationCtx, args: {A}) -> Result<_>`",
    note = "an action is an `async fn(ctx: &ActionCtx, args: {A}) -> Result<_>`"
)]
pub trait Schedulable<A, C>: 'static {}

impl Scheduler {
    /// Returns the scheduler of a mutation with this transaction.
    pub(crate) fn of_mutation(call: &Call, cell: TransactionCell) -> Scheduler {
        Scheduler {
            cell: Some(cell),
            ..Scheduler::of_action(call)
        }
    }

    pub(crate) fn of_action(call: &Call) -> Scheduler {
        Scheduler {
            engine: call.engine.clone(),
            cell: None,
            caller: call.source.scheduled.map(Id::new),
        }
    }

    /// Schedules a function to run after `delay`, and returns the id of its document, a
    /// [`ScheduledFunction`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use lentil::{Args, MutationCtx, Result};
    /// #[derive(Args)]
    /// struct Remind { whom: String }
    ///
    /// async fn remind(ctx: &mut MutationCtx, args: Remind) -> Result<()> { Ok(()) }
    ///
    /// async fn say(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    ///     ctx.scheduler.run_after(Duration::from_secs(60), remind, Remind { whom: "ada".into() }).await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// The arguments of another function do not compile:
    ///
    /// ```compile_fail,E0277
    /// # use std::time::Duration;
    /// # use lentil::{Args, MutationCtx, Result};
    /// # #[derive(Args)]
    /// # struct Remind { whom: String }
    /// # async fn remind(ctx: &mut MutationCtx, args: Remind) -> Result<()> { Ok(()) }
    /// # async fn say(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    ///     ctx.scheduler.run_after(Duration::from_secs(60), remind, ()).await?;
    /// #    Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the function is not registered, the delay is more than five years, or the call
    /// schedules too much.
    pub fn run_after<'c, A, C, F>(
        &'c self,
        delay: Duration,
        _function: F,
        args: impl IntoArgs<A>,
    ) -> BoxFuture<'c, Result<Id<ScheduledFunction>>>
    where
        A: Args,
        F: Schedulable<A, C>,
    {
        self.schedule::<F>(DueTime::After(delay), arguments(args))
    }

    /// Schedules a function to run at a time, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As [`Scheduler::run_after`].
    pub fn run_at<'c, A, C, F>(
        &'c self,
        at_ms: f64,
        _function: F,
        args: impl IntoArgs<A>,
    ) -> BoxFuture<'c, Result<Id<ScheduledFunction>>>
    where
        A: Args,
        F: Schedulable<A, C>,
    {
        self.schedule::<F>(DueTime::At(at_ms), arguments(args))
    }

    /// Schedules the registered function whose handler is `F`.
    ///
    /// The future is boxed, so that its type does not contain the handler's type. Otherwise the
    /// compiler would report a function that cannot be scheduled several times.
    fn schedule<F: 'static>(
        &self,
        due: DueTime,
        args: Result<CallArgs>,
    ) -> BoxFuture<'_, Result<Id<ScheduledFunction>>> {
        Box::pin(async move {
            let function = self.engine.registry().handled_by::<F>()?;
            self.write(&function.path, args?.into_object(), due).await
        })
    }

    async fn write(
        &self,
        path: &FunctionPath,
        args: Object,
        due: DueTime,
    ) -> Result<Id<ScheduledFunction>> {
        check_args(&self.engine, path, &args)?;
        let now_ms = match &self.cell {
            // Time is constant in a transaction, so a delay begins at the time that the function
            // sees.
            Some(cell) => cell.borrow()?.now_ms,
            None => self.engine.now_ms(),
        };
        let (at_ms, delayed_from_ms) = match due {
            DueTime::After(delay) => (now_ms + delay.as_secs_f64() * 1e3, Some(now_ms)),
            DueTime::At(at_ms) => (at_ms, None),
        };
        if !at_ms.is_finite() || (at_ms - now_ms).abs() > MAX_DISTANCE_MS {
            let message = format!(
                "`{path}` cannot be scheduled for {at_ms}: that is more than five years from now"
            );
            return Err(Error::new(Code::InvalidSchedule, message));
        }

        let call = NewCall {
            name: path.to_js(),
            args,
            at_ms,
            delayed_from_ms,
            caller: self.caller,
        };
        match &self.cell {
            None => {
                internal::write(&self.engine, "_system/scheduler:schedule", |cell| {
                    let call = call.clone();
                    async move { scheduled_calls::schedule(&cell, call).await }
                })
                .await
            }
            Some(cell) => {
                cell.borrow()?.count_scheduled()?;
                scheduled_calls::schedule(cell, call).await
            }
        }
    }

    /// Cancels a scheduled function. A function that has ended does not change.
    ///
    /// A running action continues, but the functions that it schedules from then on do not run. A
    /// scheduled mutation that cancels itself fails at its end with [`Code::CancelsItself`], and
    /// writes nothing.
    ///
    /// # Errors
    /// [`Code::InvalidId`] when the id is one of another table; when the store fails.
    pub async fn cancel(&self, id: &Id<ScheduledFunction>) -> Result<()> {
        match &self.cell {
            None => {
                let id = *id;
                internal::write(
                    &self.engine,
                    "_system/scheduler:cancel",
                    |cell| async move { scheduled_calls::cancel(&cell, &id).await },
                )
                .await
            }
            Some(cell) => {
                cell.borrow()?.count_scheduled()?;
                scheduled_calls::cancel(cell, id).await
            }
        }
    }
}

/// Checks that a document can hold the arguments of a call.
fn check_args(engine: &Engine, path: &FunctionPath, args: &Object) -> Result<()> {
    check_size(
        format_args!("the arguments of `{path}`, which is scheduled,"),
        args.size(),
        engine.limits().scheduled_argument_bytes,
    )?;
    // The document holds the arguments two levels down: in an array, which is in a field.
    if Value::Object(args.clone()).nesting() + 2 > MAX_NESTING {
        let message = format!("the arguments of `{path}` are nested too deeply to be scheduled");
        return Err(Error::new(Code::ValueTooLarge, message));
    }
    Ok(())
}
