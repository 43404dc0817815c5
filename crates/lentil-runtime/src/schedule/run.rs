use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lentil_store::Timestamp;
use lentil_values::{DocumentId, FieldName, Object, Value};
use tokio::task::JoinSet;
use tracing::Instrument;

use super::{CLOCK_STEP_MS, JobRun, cron_jobs, jobs};
use crate::call::Call;
use crate::run::Once;
use crate::{
    CallSource, Caller, Function, FunctionKind, FunctionPath, Identity, Result, Runtime, Visibility,
};

/// Jobs that run at the same time.
const JOBS_AT_ONCE: usize = 8;
/// Jobs that are looked at ahead of time.
const AHEAD: usize = 16;
/// How long the results of jobs are kept.
const KEPT_MS: f64 = 7.0 * 24.0 * 60.0 * 60.0 * 1e3;
/// How long the scheduler sleeps at most; clocks can be set.
const NAP: Duration = Duration::from_secs(60);
/// When the server fails at a job, the first pause before it is tried again; doubled with each, up to the second.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(60)];

/// A job as the live query tells of it.
#[derive(Clone)]
struct Due {
    id: DocumentId,
    name: String,
    at_ms: f64,
}

const JOBS: u32 = 0;
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
            JOBS,
            path(jobs::PENDING),
            Object::from([("limit", AHEAD as f64)]),
            None,
        );
        client.add(CRONS, path(cron_jobs::LIST), Object::new(), None);
        let wakes = client.wakes();
        let (mut pending, mut crons) = (Vec::new(), Value::Null);
        let (mut running, mut active) = (JoinSet::new(), HashSet::new());
        let mut last_ms = self.now_ms();
        loop {
            last_ms = self.notice_clock_step(last_ms).await;
            let update = tokio::select! {
                update = client.refresh(Timestamp::MIN) => update,
                () = &mut stop => break,
            };
            for (number, run) in update.changes {
                match &run.result {
                    Ok(value) if number == JOBS => pending = read_jobs(value),
                    Ok(value) => crons = Value::clone(value),
                    Err(error) => tracing::error!("what is scheduled cannot be read: {error}"),
                }
            }
            let cron_ms = self.fire_crons(&crons).await.unwrap_or_else(|error| {
                tracing::error!("crons cannot be fired: {error}");
                None
            });
            let now_ms = self.now_ms();
            for due in pending.iter().filter(|due: &&Due| due.at_ms <= now_ms) {
                if active.len() < JOBS_AT_ONCE && active.insert(due.id) {
                    let (runtime, due) = (self.clone(), due.clone());
                    running.spawn(async move {
                        runtime.run_job(&due).await;
                        due.id
                    });
                }
            }
            let nap = nap(&pending, &active, cron_ms, now_ms);
            tokio::select! {
                () = wakes.woken() => {}
                () = tokio::time::sleep(nap) => {}
                Some(done) = running.join_next() => {
                    if let Ok(id) = done {
                        active.remove(&id);
                        // Until the live query says that it is over, it is not to be begun again.
                        pending.retain(|due| due.id != id);
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
            if let Err(error) = self.replan_jobs().await {
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
        self.replan_jobs().await?;
        let mut ran = 0;
        loop {
            let crons = self.system_query(cron_jobs::LIST, Object::new()).await?;
            self.fire_crons(&crons).await?;
            let pending = self
                .system_query(jobs::PENDING, Object::from([("limit", AHEAD as f64)]))
                .await?;
            let now_ms = self.now_ms();
            let due: Vec<Due> = read_jobs(&pending)
                .into_iter()
                .filter(|due| due.at_ms <= now_ms)
                .collect();
            if due.is_empty() {
                return Ok(ran);
            }
            for due in due {
                self.run_job(&due).await;
                ran += 1;
            }
        }
    }

    /// Deletes the results of jobs that were over a week before `now_ms`; returns how many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_jobs(&self, now_ms: f64) -> Result<usize> {
        let before = Object::from([("beforeMs", now_ms - KEPT_MS)]);
        let mut pruned = 0;
        loop {
            let step = self
                .system_mutation(jobs::PRUNE, before.clone())
                .await?
                .as_f64()
                .unwrap_or_default() as usize;
            pruned += step;
            if step < jobs::BATCH {
                return Ok(pruned);
            }
        }
    }

    /// Restarts the delays of functions that seem to have been scheduled in the future.
    async fn replan_jobs(&self) -> Result<()> {
        let mut after = Object::new();
        while let Value::Bytes(last) = self.system_mutation(jobs::REPLAN, after).await? {
            after = Object::from([("after", Value::Bytes(last))]);
        }
        Ok(())
    }

    /// Fails the actions that a crash has left running, and declares the crons; until it has succeeded.
    async fn recover(&self) {
        let mut pause = PAUSES[0];
        loop {
            let recovered = async {
                while self
                    .system_mutation(jobs::RECOVER, Object::new())
                    .await?
                    .as_f64()
                    >= Some(jobs::BATCH as f64)
                {}
                if self.last_creation_time() > self.now_ms() + CLOCK_STEP_MS {
                    // The clock was ahead when something was written here.
                    self.replan_jobs().await?;
                }
                self.declare_crons(self.now_ms()).await
            };
            match recovered.await {
                Ok(()) => return,
                Err(error) => tracing::error!("the scheduler cannot begin: {error}"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }

    /// Runs a job to its end. Where the server itself fails, it is tried again.
    async fn run_job(&self, due: &Due) {
        let source = Arc::new(CallSource {
            scheduled: Some(due.id),
            ..self.new_source(Caller::Scheduler)
        });
        let path = FunctionPath::parse(&due.name);
        let name = path.map_or_else(|_| due.name.as_str().into(), |path| path.shared());
        let call = || {
            let (runtime, source) = (self.clone(), Arc::clone(&source));
            Call::outermost(runtime, Identity::Anonymous, source, &name)
        };
        let running = async {
            let ended = until_it_works(&source, &name, || self.try_job(due, call())).await;
            if let Ended::Unrecorded { error } = ended {
                let finish = || self.finish_job(due.id, error.as_deref());
                until_it_works(&source, &name, finish).await;
            }
        };
        running.instrument(call().span()).await;
    }

    /// Runs a job; a failure of its function's is its result.
    ///
    /// # Errors
    /// A fault of the server: the job can be tried again.
    async fn try_job(&self, due: &Due, call: Call) -> Result<Ended> {
        let args = match self.job_args(due.id).await {
            Ok(Some(args)) => args,
            Ok(None) => return Ok(Ended::Recorded),
            Err(error) => {
                let Some(damaged) = error.damaged_document() else {
                    return Err(error);
                };
                self.database().skipped_documents.log(damaged);
                return Ok(Ended::Recorded);
            }
        };
        let (source, log) = (Arc::clone(&call.source), call.log.clone());
        let result = match self.job_function(&due.name) {
            Ok(function) if function.kind() == FunctionKind::Mutation => {
                let once = Once::Job(JobRun(due.id));
                match self.run_mutation(&function, args, &call, once).await {
                    Ok(_) => return Ok(Ended::Recorded),
                    Err(error) if error.code().may_pass() => return Err(error),
                    Err(error) => Err(error),
                }
            }
            Ok(function) => {
                let begun = self
                    .system_mutation(jobs::BEGIN, Object::from([("id", due.id.to_string())]))
                    .await?;
                if begun != Value::Boolean(true) {
                    return Ok(Ended::Recorded);
                }
                // It has begun, and is never begun again: whatever came of it is its result.
                self.run_action(&function, args, call).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            source.log_failure(log.function(), error);
        }
        let error = result.err().map(|error| error.message().to_owned());
        Ok(Ended::Unrecorded { error })
    }

    /// The arguments of a job; none if it is gone.
    async fn job_args(&self, id: DocumentId) -> Result<Option<Object>> {
        let found = self.reading().await?.get_uncounted(id).await?;
        let args = found.and_then(|job| {
            let args = job.fields.get("args")?.as_array()?.first()?.as_object();
            args.cloned()
        });
        Ok(args)
    }

    fn job_function(&self, name: &str) -> Result<Arc<Function>> {
        let path = FunctionPath::parse(name)?;
        let function = self.registry().named(&path, Visibility::Internal)?;
        if function.kind() == FunctionKind::Query {
            let message = "only mutations and actions can be scheduled";
            return Err(crate::Error::msg(message));
        }
        Ok(function)
    }

    /// Writes down what came of a job.
    async fn finish_job(&self, id: DocumentId, error: Option<&str>) -> Result<()> {
        let mut args = Object::from([("id", id.to_string())]);
        if let Some(error) = error {
            args.insert(FieldName::from_static("error"), Value::from(error));
        }
        self.system_mutation(jobs::FINISH, args).await.map(drop)
    }
}

/// Returns the time until the next job or cron is due; without room for a job, until the scheduler looks again.
fn nap(
    pending: &[Due],
    active: &HashSet<DocumentId>,
    cron_ms: Option<f64>,
    now_ms: f64,
) -> Duration {
    if active.len() >= JOBS_AT_ONCE {
        return NAP;
    }
    let waits = pending
        .iter()
        .filter(|due| !active.contains(&due.id))
        .map(|due| due.at_ms);
    let next_ms = waits.chain(cron_ms).reduce(f64::min);
    next_ms.map_or(NAP, |next_ms| {
        Duration::from_secs_f64(((next_ms - now_ms) / 1e3).clamp(0.0, 60.0))
    })
}

/// The end of a job.
enum Ended {
    /// Its document says so already.
    Recorded,
    /// It has succeeded, or failed, which its document does not say yet.
    Unrecorded { error: Option<String> },
}

/// Retries `attempt` with growing pauses until it meets no fault of the server.
async fn until_it_works<T, F: Future<Output = Result<T>>>(
    source: &CallSource,
    function: &str,
    attempt: impl Fn() -> F,
) -> T {
    let mut pause = PAUSES[0];
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => source.log_failure(function, &error),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES[1]);
    }
}

fn read_jobs(listed: &Value) -> Vec<Due> {
    let read = |job: &Value| {
        let job = job.as_object()?;
        let (id, name) = (
            job.get("id")?.as_str()?.parse().ok()?,
            job.get("name")?.as_str()?.to_owned(),
        );
        Some(Due {
            id,
            name,
            at_ms: job.get("at")?.as_f64()?,
        })
    };
    listed
        .as_array()
        .unwrap_or_default()
        .iter()
        .filter_map(read)
        .collect()
}
