use std::pin::pin;
use std::sync::{Arc, OnceLock};

use lentil_call::{Code, Error, FunctionKind, Result, store_error};
use lentil_database::{Journal, LargeReadPermit, ReadBudget, Transaction, TransactionCell};
use lentil_store::{Snapshot, StoreError, Timestamp};
use lentil_values::{Object, Value};
use tokio::time::Instant;

use super::check::{check_args, check_result};
use super::nested::wrong_kind;
use super::timeout::run_with_timeout;
use crate::cache::{CacheKey, CacheRequest, ConcurrencyLimit, QueryResult, args_json};
use crate::engine::{Call, Engine, Function, Runner};
use crate::executions::Ended;
use crate::memory::Charge;
use crate::typed::CallArgs;

/// Evaluates a query, from the cache where it has a valid result, and records the execution.
///
/// # Errors
/// An error of the server, or wrong arguments or kind. An error of the function is in the result.
pub(crate) async fn run_query(
    function: &Function,
    args: CallArgs,
    journal: Option<String>,
    call: &Call,
) -> Result<Arc<QueryResult>> {
    let began = Instant::now();
    let result = query_published(function, args, journal, call).await;
    if let Ok(found) = &result {
        if found.read_set.reads_identity() {
            call.auth.note_asked();
        }
        call.log.extend(&found.log_lines);
    }
    record_query(function, call, began, &result);
    result
}

/// Looks a query up, and waits until the commits that its result includes are published.
async fn query_published(
    function: &Function,
    args: CallArgs,
    journal: Option<String>,
    call: &Call,
) -> Result<Arc<QueryResult>> {
    let store = call.engine.store();
    let query = CachedQuery {
        function,
        key: key_of(function, args_json(args.object()), journal.as_deref()),
        args,
        journal,
        since: store.catch_up().await.map_err(store_error)?,
        limit: None,
    };
    let found = look_up(query, call).await?;
    store
        // A snapshot may include commits that are not durable yet. A client must not see their
        // effects.
        .wait_published(found.timestamp)
        .await
        .map_err(store_error)?;
    Ok(found)
}

/// Records the call of a query, whether it executed itself or got the result of another execution.
fn record_query(
    function: &Function,
    call: &Call,
    began: Instant,
    result: &Result<Arc<QueryResult>>,
) {
    let found = result.as_ref().ok();
    let outcome = match result {
        Ok(found) => found.result.as_ref().map(drop).map_err(Error::clone),
        Err(error) => Err(error.clone()),
    };
    let ended = Ended {
        identifier: function.path.shared(),
        kind: Some(FunctionKind::Query),
        log_lines: found.map_or_else(Vec::new, |found| found.log_lines.clone()),
        began,
        is_cached: found.is_some_and(|found| found.execution != call.execution),
        result: &outcome,
    };
    call.engine.record(call, ended);
}

/// Returns the cache key of a call; `args` is JSON.
pub(crate) fn key_of(function: &Function, args: Arc<[u8]>, journal: Option<&str>) -> CacheKey {
    CacheKey::of_json(function.path.shared(), args, journal, function.visibility)
}

/// A query whose result may be cached.
pub(crate) struct CachedQuery<'a> {
    pub(crate) function: &'a Function,
    pub(crate) key: CacheKey,
    pub(crate) args: CallArgs,
    pub(crate) journal: Option<String>,
    /// The result includes every commit up to this timestamp.
    pub(crate) since: Timestamp,
    pub(crate) limit: Option<ConcurrencyLimit<'a>>,
}

/// Returns a valid result of a query. Its timestamp may not be published yet.
pub(crate) async fn look_up(query: CachedQuery<'_>, call: &Call) -> Result<Arc<QueryResult>> {
    let engine = &call.engine;
    check_args(engine, query.function, &query.args)?;
    let request = CacheRequest {
        key: query.key,
        user: call.auth.identity().key(),
        since: query.since,
        now_ms: engine.now_ms(),
        limit: query.limit,
    };
    if let Some(found) = engine.cache().get(&request) {
        return Ok(found);
    }
    let args_json = request.key.args();
    let CachedQuery {
        function,
        args,
        journal,
        ..
    } = query;
    let running = async {
        let snapshot = engine.store().snapshot().await.map_err(store_error)?;
        let args = args.into_object();
        let budget = ReadBudget::Small;
        let executed = execute_query(function, args, journal.clone(), call, snapshot, budget);
        let execution = match executed.await {
            Ok(execution) => execution,
            Err(Unfinished::Failed(error)) => return Err(error),
            Err(Unfinished::NeedsPermit(snapshot)) => {
                // Dropped before the wait, so that other queries can use the connection of the
                // snapshot.
                drop(snapshot);
                let permit = engine.database().large_reads.acquire().await;
                // The result is charged when it exists, so a large query does not begin while the
                // budget is exceeded.
                engine.memory().room().await;
                let snapshot = engine.store().snapshot().await.map_err(store_error)?;
                // The first execution has consumed the arguments. Few queries execute twice, so
                // they are not copied in advance.
                let args = parse_args(&args_json);
                execute_with_permit(function, args, journal, call, snapshot, permit).await?
            }
        };
        *call.large_read.lock() = execution.permit;
        Ok(execution.result)
    };
    // Boxed, because a call that hits the cache should not carry the large future of an execution.
    Box::pin(engine.cache().get_or_execute(request, running)).await
}

/// The result of an execution, and the resources that it held.
pub(crate) struct ExecutedQuery {
    pub(crate) result: QueryResult,
    /// The snapshot that it read, for other queries.
    pub(crate) snapshot: Box<dyn Snapshot>,
    /// The permit that it took, if it is a large query.
    pub(crate) permit: Option<LargeReadPermit>,
}

/// The reason why an execution has no result.
pub(crate) enum Unfinished {
    /// The server failed.
    Failed(Error),
    /// The query needs a permit to read so much. It must execute again with one.
    NeedsPermit(Box<dyn Snapshot>),
}

impl From<Error> for Unfinished {
    fn from(error: Error) -> Unfinished {
        Unfinished::Failed(error)
    }
}

/// Executes a query on a given snapshot, with the permit if there is one. A large query without a
/// permit waits for one and holds the snapshot meanwhile.
///
/// # Errors
/// An error of the server. An error of the function is in the result.
pub(crate) async fn execute_on(
    function: &Function,
    args: &Object,
    call: &Call,
    snapshot: Box<dyn Snapshot>,
    permit: Option<LargeReadPermit>,
) -> Result<ExecutedQuery> {
    let budget = ReadBudget::from(permit);
    match execute_query(function, args.clone(), None, call, snapshot, budget).await {
        Ok(execution) => Ok(execution),
        Err(Unfinished::Failed(error)) => Err(error),
        Err(Unfinished::NeedsPermit(snapshot)) => {
            let permit = call.engine.database().large_reads.acquire().await;
            execute_with_permit(function, args.clone(), None, call, snapshot, permit).await
        }
    }
}

/// Executes a query again, with a permit.
async fn execute_with_permit(
    function: &Function,
    args: Object,
    journal: Option<String>,
    call: &Call,
    snapshot: Box<dyn Snapshot>,
    permit: LargeReadPermit,
) -> Result<ExecutedQuery> {
    let budget = ReadBudget::Permitted(permit);
    match execute_query(function, args, journal, call, snapshot, budget).await {
        Ok(execution) => Ok(execution),
        Err(Unfinished::Failed(error)) => Err(error),
        Err(Unfinished::NeedsPermit(_)) => unreachable!("the query has a permit"),
    }
}

/// Parses the arguments of a cache key, because the first execution has consumed the others.
fn parse_args(json: &[u8]) -> Object {
    match Value::parse_json(json) {
        Ok(Value::Object(args)) => args,
        _ => unreachable!("the key was made of an object"),
    }
}

/// Executes a query once, within a read budget.
///
/// # Errors
/// An error of the server, or that the query needs a permit. An error of the function is in the
/// result.
pub(crate) async fn execute_query(
    function: &Function,
    args: Object,
    journal: Option<String>,
    call: &Call,
    snapshot: Box<dyn Snapshot>,
    budget: ReadBudget,
) -> Result<ExecutedQuery, Unfinished> {
    let Runner::Query(run) = &function.runner else {
        return Err(wrong_kind(function, FunctionKind::Query).into());
    };
    let engine = &call.engine;
    let name = function.path.shared();
    let timestamp = snapshot.timestamp();
    let own = call.attempt(&name);
    let log = own.log.clone();
    let auth = own.auth.clone();
    let cell = query_cell(engine, snapshot, journal, budget);
    let began = Instant::now();
    let limit = engine.limits().query_time;
    let result = run_with_timeout(&name, began, limit, run(cell.clone(), own, args).as_mut()).await;
    let finished = match cell.take().map(|transaction| transaction.into_query()) {
        // Checked before the result, because the function may have ignored the error of the read.
        Some(finished) if matches!(finished.read_budget, ReadBudget::Exceeded) => {
            return Err(Unfinished::NeedsPermit(finished.snapshot));
        }
        finished => finished,
    };
    let result = result.and_then(|value| check_result(engine, function, &value).map(|()| value));
    if let Err(error) = &result
        // A failure that may pass is not the query's result: it is not shared with waiters, and
        // live queries retry.
        && error.code().may_pass()
    {
        let published = engine.store().wait_published(timestamp).await;
        published.map_err(store_error)?;
        return Err(error.clone().into());
    }

    let Some(finished) = finished else {
        return Err(result.err().unwrap_or_else(Error::abandoned).into());
    };
    let mut read_set = finished.read_set;
    if auth.was_asked() {
        read_set.note_identity();
    }
    let mut result = QueryResult {
        result: result.map(Arc::new),
        log_lines: log.lines(),
        read_set,
        timestamp,
        journal: finished.journal.now,
        json: OnceLock::new(),
        charge: engine.memory().charge(0),
        request_id: call.source.request_id.clone(),
        execution: call.execution,
    };
    result.charge.set(result.heap_size());
    let permit = match finished.read_budget {
        ReadBudget::Permitted(permit) => Some(permit),
        _ => None,
    };
    Ok(ExecutedQuery {
        result,
        snapshot: finished.snapshot,
        permit,
    })
}

/// Returns a query's transaction on a snapshot.
fn query_cell(
    engine: &Engine,
    snapshot: Box<dyn Snapshot>,
    journal: Option<String>,
    budget: ReadBudget,
) -> TransactionCell {
    let journal = Journal {
        before: journal,
        now: None,
    };
    let database = Arc::clone(engine.database());
    let transaction = Transaction::query(database, snapshot, journal, budget);
    TransactionCell::new(Box::new(transaction))
}

/// Runs `body` as a query on the latest snapshot, without the cache.
pub(crate) async fn read<R, F>(
    name: &Arc<str>,
    call: Call,
    body: impl FnOnce(TransactionCell, Call) -> F,
) -> Result<R>
where
    F: Future<Output = Result<R>>,
{
    let engine = call.engine.clone();
    let store = engine.store();
    let snapshot = store.snapshot().await.map_err(store_error)?;
    let timestamp = snapshot.timestamp();
    let cell = query_cell(&engine, snapshot, None, ReadBudget::Unlimited);
    let limit = engine.limits().query_time;
    let running = body(cell.clone(), call);
    let result = run_with_timeout(name, Instant::now(), limit, pin!(running)).await;
    let is_abandoned = cell.take().is_none();
    // The result or the error is returned when all commits that it depends on are published.
    store.wait_published(timestamp).await.map_err(store_error)?;
    match result {
        Ok(_) if is_abandoned => Err(Error::abandoned()),
        result => result,
    }
}

/// Opens a snapshot of published commits.
pub(crate) async fn published_snapshot(engine: &Engine) -> Result<Box<dyn Snapshot>, StoreError> {
    once_published(engine, engine.store().snapshot()).await
}

/// Opens a snapshot, and waits until all commits in it are published.
pub(crate) async fn once_published(
    engine: &Engine,
    snapshot: impl Future<Output = Result<Box<dyn Snapshot>, StoreError>>,
) -> Result<Box<dyn Snapshot>, StoreError> {
    let store = engine.store();
    store.catch_up().await?;
    let snapshot = snapshot.await?;
    store.wait_published(snapshot.timestamp()).await?;
    Ok(snapshot)
}

/// The memory that a copy of a result and its text take, as a multiple of the result's own. The text doubles its buffer
/// while it grows.
const COPIES_OF_RESULT: usize = 4;

/// Returns a copy of a query's result, and the charge for it and its text. Each caller of a shared
/// result waits for the memory here, before it has a copy.
///
/// # Errors
/// The error of the function, or that the memory is not there in time.
pub(crate) async fn copy_value(found: &QueryResult, payer: &Charge) -> Result<(Value, Charge)> {
    let size = match &found.result {
        Ok(value) => value.heap_size(),
        Err(_) => 0,
    };
    let copies = payer.reserve(COPIES_OF_RESULT * size).await;
    let copies = copies.map_err(|over| Error::new(Code::Overloaded, over.to_string()))?;
    Ok((into_value(found)?, copies))
}

/// Returns a copy of a query's result.
pub(crate) fn into_value(found: &QueryResult) -> Result<Value> {
    match &found.result {
        Ok(value) => Ok(Value::clone(value)),
        Err(error) => Err(error.clone()),
    }
}
