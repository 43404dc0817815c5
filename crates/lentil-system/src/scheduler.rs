//! The scheduler: it runs scheduled functions when they are due.
//!
//! It watches the table `_scheduled_functions` with a live query, as a client would. A crash leaves
//! functions pending, which run at the next start, and actions in progress, which are marked as
//! failed then.
//!
//! The times are of the wall clock, which may have been wrong when they were written. A function
//! that was scheduled after a delay, at a time that now lies in the future, waits for its delay
//! from now on. A function that was scheduled for a time waits for that time.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use lentil_database::SystemTable;
use lentil_macros::{Args, ValueType};
use lentil_runtime::{
    Functions, MutationCtx, QueryCtx, Result, Runtime, ScheduledCall, ScheduledFunction,
    ScheduledState, SystemModule,
};
use lentil_schema::{Args as _, Document, Id};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::background::{CLOCK_STEP_MS, POLL_INTERVAL, START_BACKOFF, prune_hourly, time_until};
use crate::live_query::LiveQuery;

/// The most calls that run at the same time.
const MAX_ACTIVE: usize = 8;
/// Calls that are read in advance.
const PREFETCH: usize = 16;
/// Calls that one transaction deletes or changes; each may have megabytes of arguments.
const BATCH: usize = 64;
/// How long the results of calls are kept, as in Convex.
const RESULT_RETENTION_MS: f64 = 7.0 * 24.0 * 60.0 * 60.0 * 1e3;

/// Runs scheduled functions.
pub(crate) struct Scheduler;

#[async_trait]
impl SystemModule for Scheduler {
    fn functions(&self) -> Functions {
        Functions::in_module("_system/scheduler")
            .internal_query("pending", pending)
            .internal_mutation("recover", recover_batch)
            .internal_mutation("replan", replan_batch)
            .internal_mutation("prune", prune_batch)
    }

    async fn run(&self, runtime: &Runtime, stop: &CancellationToken) {
        let pruning = prune_hourly(runtime, stop, |now_ms| prune(runtime, now_ms));
        tokio::join!(run_until(runtime, stop), pruning);
    }
}

/// Runs calls when they are due until `stop`; then lets those that run finish.
async fn run_until(runtime: &Runtime, stop: &CancellationToken) {
    tokio::select! {
        // Before the first call starts, every action in progress is one that a crash has
        // interrupted.
        () = recover(runtime) => {}
        () = stop.cancelled() => return,
    }
    let args = next_calls().into_object();
    let mut query = LiveQuery::new(runtime, "_system/scheduler:pending", args);
    let mut running = Running::default();
    let mut pending: Vec<Pending> = Vec::new();
    let mut last_ms = runtime.now_ms();
    loop {
        last_ms = notice_clock_step(runtime, last_ms).await;
        let refreshed = tokio::select! {
            refreshed = query.refresh() => refreshed,
            () = stop.cancelled() => break,
        };
        match refreshed {
            Some(Ok(calls)) => pending = calls,
            Some(Err(error)) => tracing::error!(%error, "failed to read the scheduled functions"),
            None => {}
        }

        running.start_due(runtime, &pending);
        let sleep = running.time_to_next(&pending, runtime.now_ms());
        tokio::select! {
            () = query.changed() => {}
            () = tokio::time::sleep(sleep) => {}
            Some(ended) = running.next_ended() => {
                // The live query may still list the call, which must not start again.
                pending.retain(|call| call.id != ended);
            }
            () = stop.cancelled() => break,
        }
    }
    while running.next_ended().await.is_some() {}
}

/// The calls that run.
#[derive(Default)]
struct Running {
    tasks: JoinSet<Id<ScheduledFunction>>,
    ids: HashSet<Id<ScheduledFunction>>,
}

impl Running {
    /// Starts calls that are due, as many as may run.
    fn start_due(&mut self, runtime: &Runtime, pending: &[Pending]) {
        let now_ms = runtime.now_ms();
        for call in pending.iter().filter(|call| call.at <= now_ms) {
            // The live query lists a call until its end is committed, so a listed call may be
            // running.
            if self.ids.len() < MAX_ACTIVE && self.ids.insert(call.id) {
                let id = call.id;
                let execution = runtime.scheduled_execution(id, &call.name);
                self.tasks.spawn(async move {
                    execution.run().await;
                    id
                });
            }
        }
    }

    /// Waits for the next call to end; `None` when none runs.
    async fn next_ended(&mut self) -> Option<Id<ScheduledFunction>> {
        loop {
            // A task that panicked stays among the ids: its call must not start again.
            if let Ok(id) = self.tasks.join_next().await? {
                self.ids.remove(&id);
                return Some(id);
            }
        }
    }

    /// Returns the time until the next call is due; the poll interval while no further call can
    /// start.
    fn time_to_next(&self, pending: &[Pending], now_ms: f64) -> Duration {
        if self.ids.len() >= MAX_ACTIVE {
            // A call that ends wakes the loop earlier.
            return POLL_INTERVAL;
        }
        let waiting = pending.iter().filter(|call| !self.ids.contains(&call.id));
        time_until(waiting.map(|call| call.at).reduce(f64::min), now_ms)
    }
}

/// Replans calls if the clock was set back since `last_ms`, and returns the time now.
async fn notice_clock_step(runtime: &Runtime, last_ms: f64) -> f64 {
    if runtime.now_ms() < last_ms - CLOCK_STEP_MS {
        tracing::warn!("the clock was set back; the delays of scheduled functions begin again now");
        if let Err(error) = replan(runtime).await {
            tracing::error!(%error, "failed to replan scheduled functions after the clock was set back");
        }
    }
    runtime.now_ms()
}

/// Runs the next calls that are due, one after another, and returns their number.
///
/// # Errors
/// When the store fails.
pub(crate) async fn run_next(runtime: &Runtime) -> Result<usize> {
    let mut due = runtime.system_query(pending, next_calls()).await?;
    let now_ms = runtime.now_ms();
    due.retain(|call| call.at <= now_ms);
    for call in &due {
        let execution = runtime.scheduled_execution(call.id, &call.name);
        execution.run().await;
    }
    Ok(due.len())
}

#[derive(Args)]
struct Limit {
    limit: f64,
}

fn next_calls() -> Limit {
    Limit {
        limit: PREFETCH as f64,
    }
}

/// A call that has not run yet.
#[derive(ValueType)]
struct Pending {
    id: Id<ScheduledFunction>,
    name: String,
    /// The time at which it is due, in milliseconds since the Unix epoch.
    at: f64,
}

/// Returns the next calls to run, in the order of their times.
async fn pending(ctx: &mut QueryCtx, args: Limit) -> Result<Vec<Pending>> {
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

/// Prepares the table after a start, until that succeeds.
async fn recover(runtime: &Runtime) {
    let mut backoff = START_BACKOFF;
    while let Err(error) = try_to_recover(runtime).await {
        tracing::error!(%error, "the scheduler cannot start");
        tokio::time::sleep(backoff.next_pause()).await;
    }
}

async fn try_to_recover(runtime: &Runtime) -> Result<()> {
    // Only a full batch can have others after it.
    while runtime.system_mutation(recover_batch, ()).await? == BATCH {}
    if runtime.last_creation_time() > runtime.now_ms() + CLOCK_STEP_MS {
        // The clock was ahead when a document was written.
        replan(runtime).await?;
    }
    Ok(())
}

/// Marks the next actions that a crash has interrupted as failed, and returns their number.
async fn recover_batch(ctx: &mut MutationCtx, (): ()) -> Result<usize> {
    let mut calls = SystemTable::<ScheduledCall>::of(&ctx.db)?;
    let now_ms = calls.now_ms();
    let range = ScheduledCall::BY_STATE.eq(ScheduledState::InProgress.kind());
    let interrupted = calls.scan(range, BATCH).await?;
    for call in &interrupted {
        let error =
            "the server stopped while the action ran; it may have done part of its work".to_owned();
        let patch = ScheduledCall::patch()
            .state(ScheduledState::Failed { error })
            .completed_time(now_ms);
        calls.patch(&call.id, patch).await?;
    }
    Ok(interrupted.len())
}

/// Restarts the delays of calls that seem to have been scheduled in the future.
///
/// # Errors
/// When the store fails.
pub(crate) async fn replan(runtime: &Runtime) -> Result<()> {
    let mut after = None;
    loop {
        let batch = After { after };
        after = runtime.system_mutation(replan_batch, batch).await?;
        if after.is_none() {
            return Ok(());
        }
    }
}

#[derive(Args)]
struct After {
    /// The index key at which the batch starts; `None` for the first one.
    after: Option<Vec<u8>>,
}

/// Restarts the delays in the next calls; returns the index key at which the next batch starts.
async fn replan_batch(ctx: &mut MutationCtx, args: After) -> Result<Option<Vec<u8>>> {
    let mut calls = SystemTable::<ScheduledCall>::of(&ctx.db)?;
    let now_ms = calls.now_ms();
    let range = ScheduledCall::BY_STATE.eq(ScheduledState::Pending.kind());
    let batch = calls.scan_after(range, args.after, BATCH).await?;
    for call in batch.documents {
        let Some(from_ms) = call.delayed_from else {
            continue;
        };
        // The new time is earlier, so the call moves to a key that later batches do not read again.
        if from_ms > now_ms + CLOCK_STEP_MS {
            let patch = ScheduledCall::patch()
                .scheduled_time(now_ms + (call.scheduled_time - from_ms))
                .delayed_from(now_ms);
            calls.patch(&call.id, patch).await?;
        }
    }
    Ok(batch.next)
}

/// Deletes the results of calls that ended a week before `now_ms`, and returns their number.
///
/// # Errors
/// When the store fails.
pub async fn prune(runtime: &Runtime, now_ms: f64) -> Result<usize> {
    let before_ms = now_ms - RESULT_RETENTION_MS;
    let mut pruned = 0;
    loop {
        let batch = runtime
            .system_mutation(prune_batch, Before { before_ms })
            .await?;
        pruned += batch;
        if batch < BATCH {
            return Ok(pruned);
        }
    }
}

#[derive(Args)]
struct Before {
    before_ms: f64,
}

/// Deletes the next calls that ended before a time, and returns their number.
async fn prune_batch(ctx: &mut MutationCtx, args: Before) -> Result<usize> {
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
