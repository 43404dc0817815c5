use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lentil_call::{Backoff, Code, Error, FunctionKind, Result, commit_error, store_error};
use lentil_database::{Transaction, TransactionCell};
use lentil_schema::Document;
use lentil_store::{StoreError, Timestamp, WriteSet};
use lentil_values::{TableNames, Value};
use tokio::time::Instant;

use super::check::{check_args, check_result};
use super::nested::wrong_kind;
use super::timeout::run_with_timeout;
use crate::engine::{Call, Engine, Function, Runner};
use crate::executions::Ended;
use crate::files::FileRecord;
use crate::scheduled_calls::ScheduledRun;
use crate::session::SessionRequest;
use crate::typed::CallArgs;
use crate::write_lock::WriteLockGuard;

tokio::task_local! {
    /// Set while a mutation runs in this task. A mutation that is started in it without its context
    /// would wait for itself.
    static IN_MUTATION: ();
}

const MAX_ATTEMPTS: u32 = 16;
/// As in Convex.
const CONFLICT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// A mutation's result, and the timestamp at which it is committed; and the log lines of the
/// attempt that committed.
pub(crate) struct Committed<R> {
    pub(crate) result: Result<(R, Timestamp)>,
    pub(crate) log_lines: Vec<String>,
}

/// Runs a registered mutation in a new transaction, and records the execution.
pub(crate) async fn run_mutation(
    function: &Function,
    args: CallArgs,
    call: &Call,
    idempotency: Idempotency<'_>,
) -> Result<(Value, Timestamp)> {
    let began = Instant::now();
    let committed = commit_mutation(function, args, call, idempotency).await;
    call.log.extend(&committed.log_lines);
    let ended = Ended {
        identifier: function.path.shared(),
        kind: Some(FunctionKind::Mutation),
        log_lines: committed.log_lines,
        began,
        is_cached: false,
        result: &committed.result,
    };
    call.engine.record(call, ended);
    committed.result
}

async fn commit_mutation(
    function: &Function,
    args: CallArgs,
    call: &Call,
    idempotency: Idempotency<'_>,
) -> Committed<Value> {
    let Runner::Mutation(run) = &function.runner else {
        return Committed::refused(wrong_kind(function, FunctionKind::Mutation));
    };
    if let Err(error) = check_args(&call.engine, function, &args) {
        return Committed::refused(error);
    }
    let args = args.into_object();
    let attempt = |cell: TransactionCell, attempt: Call| {
        let args = args.clone();
        async move {
            // Read and written in the mutation's own transaction, so that two concurrent
            // repetitions of a request cannot both commit.
            if let Some(recorded) = idempotency.recorded(&cell).await? {
                return Ok(recorded);
            }
            let value = run(cell.clone(), attempt, args).await?;
            check_result(&call.engine, function, &value)?;
            idempotency.record(&cell, &value).await?;
            Ok(value)
        }
    };
    transact(&function.path.shared(), call, attempt).await
}

/// Runs `attempt` in a new transaction and commits its writes, again after each conflict.
pub(crate) async fn transact<R, F>(
    name: &Arc<str>,
    call: &Call,
    attempt: impl Fn(TransactionCell, Call) -> F,
) -> Committed<R>
where
    F: Future<Output = Result<R>>,
{
    if IN_MUTATION.try_with(|()| ()).is_ok() {
        let message =
            format!("`{name}` was started inside a mutation; call it with `ctx.run_mutation`");
        return Committed::refused(Error::new(Code::ReentrantMutation, message));
    }
    let engine = &call.engine;
    let mut backoff = CONFLICT_BACKOFF;
    for number in 0..MAX_ATTEMPTS {
        let (transaction, lock) = match begin(engine, name, number).await {
            Ok(begun) => begun,
            Err(error) => return Committed::refused(store_error(error)),
        };
        let cell = TransactionCell::new(Box::new(transaction));
        let own = call.attempt(name);
        let log = own.log.clone();
        let running = IN_MUTATION.scope((), attempt(cell.clone(), own));
        let limit = engine.limits().mutation_time;
        // The time limit begins with the lock, and does not include the wait for it.
        let result = run_with_timeout(name, lock.since, limit, pin!(running)).await;
        if let Some(result) = end(engine, &cell, lock, result).await {
            return Committed {
                result,
                log_lines: log.lines(),
            };
        }
        tokio::time::sleep(backoff.next_pause_with_jitter(rand::random())).await;
    }
    Committed::refused(store_error(StoreError::Conflict))
}

async fn begin<'e>(
    engine: &'e Engine,
    name: &Arc<str>,
    attempt: u32,
) -> Result<(Transaction, WriteLockGuard<'e>), StoreError> {
    let store = engine.store();
    let holder = &engine.parts().write_lock_holder;
    let (transaction, lock) = holder.begin(&**store, name, attempt).await?;
    let database = Arc::clone(engine.database());
    let transaction = Transaction::mutation(database, transaction, store.catalog());
    Ok((transaction, lock))
}

/// Commits the writes of an attempt, or nothing if it failed. Returns `None` after a conflict: the
/// mutation runs again.
///
/// The result is returned once all commits that it depends on are durable, with a timestamp that
/// includes them.
async fn end<R>(
    engine: &Engine,
    cell: &TransactionCell,
    lock: WriteLockGuard<'_>,
    mut result: Result<R>,
) -> Option<Result<(R, Timestamp)>> {
    let Some(mut transaction) = cell.take() else {
        // The function still holds the transaction in a nested call that was dropped before its
        // end.
        return Some(result.and_then(|_| Err(Error::abandoned())));
    };
    if result.is_ok()
        && let Err(error) = transaction.check_unique().await
    {
        result = Err(error);
    }
    if transaction.has_conflict() {
        return None;
    }

    let (transaction, writes) = transaction.into_mutation();
    // The next mutation may begin while this one waits for its commit.
    drop(lock);
    // A failed function writes nothing. Its error may depend on commits that are not durable yet,
    // so it is committed too.
    let writes = match &result {
        Ok(_) => writes,
        Err(_) => WriteSet::empty(),
    };
    let files = engine.tables().number(FileRecord::TABLE);
    let deleted = FileRecord::deleted_blobs(files, &writes.writes);
    match transaction.commit(writes).await {
        Ok(timestamp) => {
            // Done only after the commit is durable: a crash before it would leave the documents
            // without their blobs.
            (engine.parts().release_blobs)(engine, deleted);
            Some(result.map(|value| (value, timestamp)))
        }
        Err(error) if error.is_retryable() => None,
        Err(error) => Some(Err(commit_error(error))),
    }
}

impl<R> Committed<R> {
    /// Returns the error of a mutation that did not run.
    fn refused(error: Error) -> Committed<R> {
        Committed {
            result: Err(error),
            log_lines: Vec::new(),
        }
    }
}

/// Whether a mutation may run more than once.
#[derive(Clone, Copy)]
pub(crate) enum Idempotency<'a> {
    /// It runs each time that it is called.
    None,
    /// It runs once for a request of a client's session. A repeated request gets the recorded
    /// result.
    Session(&'a SessionRequest),
    /// It runs once for a scheduled call.
    Scheduled(ScheduledRun),
}

impl Idempotency<'_> {
    /// Returns the recorded result, if the mutation has run before.
    async fn recorded(self, cell: &TransactionCell) -> Result<Option<Value>> {
        match self {
            Idempotency::None => Ok(None),
            Idempotency::Session(request) => request.recorded(cell).await,
            Idempotency::Scheduled(run) => {
                let is_pending = run.is_pending(cell).await?;
                Ok(if is_pending { None } else { Some(Value::Null) })
            }
        }
    }

    /// Records in the mutation's own transaction that it has run.
    async fn record(self, cell: &TransactionCell, value: &Value) -> Result<()> {
        match self {
            Idempotency::None => Ok(()),
            Idempotency::Session(request) => request.record(cell, value),
            Idempotency::Scheduled(run) => run.succeed(cell).await,
        }
    }
}
