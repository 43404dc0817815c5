use std::time::Duration;

use lentil_call::check_size;
use lentil_schema::{Args, Document, Id, IntoArgs};
use lentil_values::{DocumentId, MAX_NESTING, Object, Value};

use super::{ScheduledFunction, jobs};
use crate::database::Slot;
use crate::function::BoxFuture;
use crate::handler::{ActionHandler, Handler};
use crate::run::arguments;
use crate::{ActionCtx, Code, Error, FunctionPath, MutationCtx, Result, Runtime};

/// The furthest that something may be put off: five years.
const FURTHEST_MS: f64 = 5.0 * 366.0 * 24.0 * 60.0 * 60.0 * 1e3;

/// Runs functions later, `ctx.scheduler`.
///
/// In a mutation an order is a part of it: it holds when the mutation does. In an action it holds at once. A mutation
/// that is scheduled runs exactly once, an action at most once; a time that has passed is as soon as can be. They run
/// as nobody, and may be internal functions.
///
/// After a scheduled function was canceled, functions that it schedules do not run: their documents are canceled from
/// the beginning. This holds for the mutations and actions that it calls, too.
#[derive(Clone)]
pub struct Scheduler {
    runtime: Runtime,
    place: Place,
    /// The scheduled function that schedules, if one does.
    caller: Option<DocumentId>,
}

/// Where orders are written.
#[derive(Clone)]
enum Place {
    /// Into a mutation's transaction.
    Within(Slot),
    /// Into a transaction of their own.
    AtOnce,
}

/// A function to be run later.
pub(crate) struct Job {
    pub(crate) id: DocumentId,
    pub(crate) creation_time: f64,
    pub(crate) path: FunctionPath,
    pub(crate) args: Object,
    pub(crate) at_ms: f64,
    /// The time from which its delay counts; none of a job that was scheduled for a time.
    pub(crate) delayed_from_ms: Option<f64>,
}

/// When a job is due.
#[derive(Clone, Copy)]
pub(super) enum DueTime {
    /// After a delay from now on.
    After(Duration),
    /// At a time, in milliseconds since the Unix epoch.
    At(f64),
}

/// A function that can be scheduled: a mutation (`C` is [`MutationCtx`]) or an action ([`ActionCtx`]).
#[diagnostic::on_unimplemented(
    message = "this function cannot be scheduled",
    label = "expected a mutation or an action that takes `{A}`",
    note = "a query cannot be scheduled: it only returns a value",
    note = "a mutation is an `async fn(ctx: &mut MutationCtx, args: {A}) -> Result<_>`",
    note = "an action is an `async fn(ctx: &ActionCtx, args: {A}) -> Result<_>`"
)]
pub trait Schedulable<A, C>: 'static {}

#[diagnostic::do_not_recommend]
impl<A, F: Handler<MutationCtx, A>> Schedulable<A, MutationCtx> for F {}

#[diagnostic::do_not_recommend]
impl<A, F: ActionHandler<ActionCtx, A>> Schedulable<A, ActionCtx> for F {}

impl Scheduler {
    /// Of a mutation, with its transaction.
    pub(crate) fn of_mutation(
        runtime: Runtime,
        slot: Slot,
        caller: Option<DocumentId>,
    ) -> Scheduler {
        Scheduler {
            runtime,
            place: Place::Within(slot),
            caller,
        }
    }

    /// Of an action.
    pub(crate) fn of_action(runtime: Runtime, caller: Option<DocumentId>) -> Scheduler {
        Scheduler {
            runtime,
            place: Place::AtOnce,
            caller,
        }
    }

    /// Has a function run once `delay` has passed. Returns the id of its document, a [`ScheduledFunction`].
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
    /// Arguments that are another function's do not compile:
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
    /// When it is not registered, is put off by more than five years, or more is scheduled than one call may.
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

    /// Has a function run at a time, in milliseconds since the Unix epoch.
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
    /// The future is boxed, so that it does not name the handler's type: the compiler would
    /// report a function that cannot be scheduled once more for each step of awaiting it.
    fn schedule<F: 'static>(
        &self,
        due: DueTime,
        args: Result<Object>,
    ) -> BoxFuture<'_, Result<Id<ScheduledFunction>>> {
        Box::pin(async move {
            let runtime = &self.runtime;
            let function = runtime.registry().handled_by::<F>()?;
            let job = new_job(runtime, function.path().clone(), args?, due)?;
            let id = Id::new(job.id);
            match &self.place {
                Place::AtOnce => jobs::order(runtime, job, self.caller).await?,
                Place::Within(slot) => {
                    let transaction = &mut *slot.lock()?;
                    transaction.count_scheduled()?;
                    jobs::insert(transaction, job, self.caller).await?;
                }
            }
            Ok(id)
        })
    }

    /// Cancels a scheduled function. One that has run already is not changed. A running action continues, but
    /// the functions that it schedules from then on do not run. A scheduled mutation that cancels itself fails at its
    /// end, with [`Code::CancelsItself`], and writes nothing.
    ///
    /// # Errors
    /// [`Code::InvalidId`] when the id is one of another table; or when the store fails.
    pub async fn cancel(&self, id: &Id<ScheduledFunction>) -> Result<()> {
        match &self.place {
            Place::AtOnce => jobs::cancel_at_once(&self.runtime, id.document_id()).await,
            Place::Within(slot) => {
                let transaction = &mut *slot.lock()?;
                transaction.count_scheduled()?;
                jobs::cancel(transaction, id.document_id()).await
            }
        }
    }
}

/// A job with an id of its own.
pub(super) fn new_job(
    runtime: &Runtime,
    path: FunctionPath,
    args: Object,
    due: DueTime,
) -> Result<Job> {
    let now_ms = runtime.now_ms();
    let (at_ms, delayed_from_ms) = match due {
        DueTime::After(delay) => (now_ms + delay.as_secs_f64() * 1e3, Some(now_ms)),
        DueTime::At(at_ms) => (at_ms, None),
    };
    if !at_ms.is_finite() || (at_ms - now_ms).abs() > FURTHEST_MS {
        let message = format!(
            "`{path}` cannot be scheduled for {at_ms}: that is more than five years from now"
        );
        return Err(Error::new(Code::InvalidSchedule, message));
    }
    check_size(
        format_args!("the arguments of `{path}`, which is scheduled,"),
        args.size(),
        runtime.limits().scheduled_argument_bytes,
    )?;
    // It is kept two levels down in a document.
    if Value::Object(args.clone()).nesting() + 2 > MAX_NESTING {
        let message = format!("the arguments of `{path}` are nested too deeply to be scheduled");
        return Err(Error::new(Code::ValueTooLarge, message));
    }
    let table = runtime.tables().system(ScheduledFunction::TABLE).number();
    let (id, creation_time) = runtime.database().new_id(table, now_ms);
    Ok(Job {
        id,
        creation_time,
        path,
        args,
        at_ms,
        delayed_from_ms,
    })
}
