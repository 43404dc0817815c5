use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use lentil_call::Backoff;
use lentil_schema::{Args, Id};
use lentil_store::Timestamp;
use lentil_values::{Object, Value, ValueType};
use tokio::task::JoinSet;

use super::calls::{self, After, Limit, Pending};
use super::cron_documents::{self, Planned};
use super::{CLOCK_STEP_MS, ScheduledExecution, ScheduledFunction};
use crate::{FunctionPath, Identity, Result, Runtime};

/// The most calls that run at the same time.
const MAX_ACTIVE: usize = 8;
/// The calls that the scheduler reads in advance.
const PREFETCH: usize = 16;
/// How long the results of calls are kept.
const RESULT_RETENTION_MS: f64 = 7.0 * 24.0 * 60.0 * 60.0 * 1e3;
/// The longest time between two looks at the clock, which may be set.
const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// The first and the longest pause between attempts to start.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(60);

/// The numbers of the live queries.
const CALLS: u32 = 0;
const CRONS: u32 = 1;

impl Runtime {
    /// Runs what is scheduled, and the crons, until `stop`; then lets what runs finish.
    pub async fn run_scheduler(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        tokio::select! {
            () = self.recover() => {}
            () = &mut stop => return,
        }
        let mut client = self.subscriber(Identity::Admin { acting_as: None });
        let path =
            |path| FunctionPath::parse(path).expect("the system's own paths are well formed");
        client.add(
            CALLS,
            path("_system/scheduler:pending"),
            next_calls().into_object(),
            None,
        );
        client.add(CRONS, path("_system/crons:list"), Object::new(), None);
        let changes = client.change_notifier();
        let mut pending: Vec<Pending> = Vec::new();
        let mut crons: Vec<Planned> = Vec::new();
        let mut running = JoinSet::new();
        let mut active = HashSet::new();
        let mut last_ms = self.now_ms();
        loop {
            last_ms = self.notice_clock_step(last_ms).await;
            let update = tokio::select! {
                update = client.refresh(Timestamp::MIN) => update,
                () = &mut stop => break,
            };
            for (number, run) in update.changes {
                let read = match &run.result {
                    Ok(value) if number == CALLS => read(value).map(|read| pending = read),
                    Ok(value) => read(value).map(|read| crons = read),
                    Err(error) => Err(error.clone()),
                };
                if let Err(error) = read {
                    tracing::error!(%error, "failed to read the scheduled functions and crons");
                }
            }
            let cron_ms = self.fire_crons(&crons).await.unwrap_or_else(|error| {
                tracing::error!(%error, "failed to fire crons");
                None
            });
            let now_ms = self.now_ms();
            for due in pending.iter().filter(|call| call.at <= now_ms) {
                if active.len() < MAX_ACTIVE && active.insert(due.id) {
                    let execution = ScheduledExecution::new(self, due.id, &due.name);
                    let id = due.id;
                    running.spawn(async move {
                        execution.run().await;
                        id
                    });
                }
            }
            let sleep = time_to_sleep(&pending, &active, cron_ms, now_ms);
            tokio::select! {
                () = changes.changed() => {}
                () = tokio::time::sleep(sleep) => {}
                Some(done) = running.join_next() => {
                    if let Ok(id) = done {
                        active.remove(&id);
                        // The live query may still list it, and it must not start again.
                        pending.retain(|call| call.id != id);
                    }
                }
                () = &mut stop => break,
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Replans scheduled functions if the clock was set back since `last_ms`; returns the time now.
    async fn notice_clock_step(&self, last_ms: f64) -> f64 {
        if self.now_ms() < last_ms - CLOCK_STEP_MS {
            tracing::warn!(
                "the clock was set back; the delays of scheduled functions begin again now"
            );
            if let Err(error) = self.replan_calls().await {
                tracing::error!(%error, "failed to replan scheduled functions after the clock was set back");
            }
        }
        self.now_ms()
    }

    /// Runs what is due now, one after another, crons included, until nothing more is due; returns how many jobs it
    /// were. For tests, which move time by hand.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_due(&self) -> Result<usize> {
        self.replan_calls().await?;
        let mut ran = 0;
        loop {
            let crons = self.system_query(cron_documents::list, ()).await?;
            self.fire_crons(&crons).await?;
            let mut due = self.system_query(calls::pending, next_calls()).await?;
            let now_ms = self.now_ms();
            due.retain(|call| call.at <= now_ms);
            if due.is_empty() {
                return Ok(ran);
            }
            for call in due {
                ScheduledExecution::new(self, call.id, &call.name)
                    .run()
                    .await;
                ran += 1;
            }
        }
    }

    /// Deletes the results of jobs that were over a week before `now_ms`; returns how many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_jobs(&self, now_ms: f64) -> Result<usize> {
        let args = calls::Prune {
            before_ms: now_ms - RESULT_RETENTION_MS,
        };
        let mut pruned = 0;
        loop {
            let batch = self.system_mutation(calls::prune, args.clone()).await?;
            pruned += batch;
            if batch < calls::BATCH {
                return Ok(pruned);
            }
        }
    }

    /// Restarts the delays of functions that seem to have been scheduled in the future.
    async fn replan_calls(&self) -> Result<()> {
        let mut after = None;
        loop {
            after = self.system_mutation(calls::replan, After { after }).await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Fails the actions that a crash has left running, and declares the crons; until it has succeeded.
    async fn recover(&self) {
        let mut backoff = Backoff::new(RETRY_PAUSE, MAX_RETRY_PAUSE);
        while let Err(error) = self.try_to_recover().await {
            tracing::error!(%error, "the scheduler cannot start");
            tokio::time::sleep(backoff.next_pause()).await;
        }
    }

    async fn try_to_recover(&self) -> Result<()> {
        while self.system_mutation(calls::recover, ()).await? == calls::BATCH {}
        if self.engine.database().creation_times.last() > self.now_ms() + CLOCK_STEP_MS {
            // The clock was ahead when a document was written.
            self.replan_calls().await?;
        }
        self.declare_crons(self.now_ms()).await
    }
}

fn next_calls() -> Limit {
    Limit {
        limit: PREFETCH as f64,
    }
}

fn read<T: ValueType>(result: &Value) -> Result<T> {
    Ok(T::from_value(result.clone())?)
}

/// Returns the time until the next call or cron is due; the poll interval while no further call can start.
fn time_to_sleep(
    pending: &[Pending],
    active: &HashSet<Id<ScheduledFunction>>,
    cron_ms: Option<f64>,
    now_ms: f64,
) -> Duration {
    if active.len() >= MAX_ACTIVE {
        return POLL_INTERVAL;
    }
    let waiting = pending.iter().filter(|call| !active.contains(&call.id));
    let next_ms = waiting.map(|call| call.at).chain(cron_ms).reduce(f64::min);
    match next_ms {
        Some(next_ms) => {
            let most_s = POLL_INTERVAL.as_secs_f64();
            Duration::from_secs_f64(((next_ms - now_ms) / 1e3).clamp(0.0, most_s))
        }
        None => POLL_INTERVAL,
    }
}
