use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use lentil_call::{Backoff, Caller, Error, FunctionKind, Identity, Result, store_error};
use lentil_database::{LargeReadPermit, ReadBudget};
use lentil_store::conflict::ReadSet;
use lentil_store::{Snapshot, Timestamp};
use tokio::time::Instant;
use tracing::Instrument;

use super::{Subscriber, Subscription, Update, WatchedResult};
use crate::cache::{CacheKey, ConcurrencyLimit, QueryResult};
use crate::engine::{Call, Engine};
use crate::executions::Ended;
use crate::memory::Charge;
use crate::run::{
    CachedQuery, Unfinished, check_untyped_args, execute_query, key_of, look_up, published_snapshot,
};
use crate::typed::CallArgs;

/// Queries of one client that are evaluated at the same time.
const MAX_CONCURRENT_QUERIES: usize = 8;
/// Attempts to find a timestamp at which all results are valid, before all are evaluated on one
/// snapshot.
const MAX_ATTEMPTS: usize = 3;
/// The first pause before a retry, when the server itself fails.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause before a retry.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(60);

/// The end of an evaluation on a given snapshot.
enum Evaluated {
    /// The result, and the snapshot if the function left it usable.
    Result(Box<QueryResult>, Option<Box<dyn Snapshot>>),
    /// The query is large, and no permit was free.
    NeedsPermit,
}

impl Subscriber {
    /// Evaluates the queries that are new or invalidated, at one timestamp at or after `floor`.
    ///
    /// When the server itself fails, it tries again until it succeeds. The update leaves out
    /// results that equal those sent last.
    pub async fn refresh(&mut self, floor: Timestamp) -> Update {
        let mut backoff = Backoff::new(RETRY_PAUSE, MAX_RETRY_PAUSE);
        let timestamp = loop {
            match self.evaluate(floor).await {
                Ok(timestamp) => break timestamp,
                Err(error) => {
                    let code = error.code().as_str();
                    tracing::warn!(code, "failed to evaluate live queries: {error}");
                    tokio::time::sleep(backoff.next_pause()).await;
                }
            }
        };
        self.timestamp = timestamp;
        let mut changes = Vec::new();
        for (query_id, query) in &mut self.queries {
            if let Some(result) = query.take_unsent() {
                changes.push((*query_id, result));
            }
        }
        Update { timestamp, changes }
    }

    /// Evaluates queries until the results of all are valid at one timestamp, which it returns.
    async fn evaluate(&mut self, floor: Timestamp) -> Result<Timestamp> {
        let engine = self.engine.clone();
        let store = engine.store();
        // `watch` checks each result against the commits since its evaluation began.
        let _pin = engine.live().pin(store.published());
        let caught_up = store.catch_up().await.map_err(store_error)?;
        let mut timestamp = self.timestamp.max(floor).max(caught_up);
        for _ in 0..MAX_ATTEMPTS {
            let stale = self.stale_at(timestamp);
            if stale.is_empty() {
                return Ok(timestamp);
            }
            // Results are charged when they exist, so evaluations wait while the budget is exceeded.
            engine.memory().room().await;
            let since = store.catch_up().await.map_err(store_error)?;
            let evaluations = stale.into_iter().map(|query_id| {
                let query = &self.queries[&query_id];
                let evaluation = query.evaluate(&engine, &self.identity, since);
                async move { Ok::<_, Error>((query_id, evaluation.await?)) }
            });
            let results: Vec<_> = stream::iter(evaluations)
                .buffer_unordered(MAX_CONCURRENT_QUERIES)
                .collect()
                .await;
            let results = results.into_iter().collect::<Result<Vec<_>>>()?;
            timestamp = timestamp.max(since);
            for (_, result) in &results {
                // A shared execution may have read a later snapshot than this client asked for.
                timestamp = timestamp.max(result.timestamp);
            }
            // The observer is notified of a commit before it is published. So the invalidations are
            // complete up to `timestamp` from here on.
            store.wait_published(timestamp).await.map_err(store_error)?;
            for (query_id, result) in results {
                self.watch(query_id, result, since);
            }
        }
        self.evaluate_on_snapshot(timestamp).await
    }

    /// Evaluates the stale queries on one snapshot, one after another. It is used when commits
    /// invalidate results faster than [`Subscriber::evaluate`] finds a common timestamp.
    async fn evaluate_on_snapshot(&mut self, timestamp: Timestamp) -> Result<Timestamp> {
        let engine = self.engine.clone();
        if self.stale_at(timestamp).is_empty() {
            return Ok(timestamp);
        }
        // One permit is enough, because these queries execute one after another.
        let _permit = engine.live().permits.acquire().await;
        let mut large_read = None;
        'new_snapshot: loop {
            engine.memory().room().await;
            let mut snapshot = published_snapshot(&engine).await.map_err(store_error)?;
            let timestamp = snapshot.timestamp();
            // A result that is valid at the snapshot stays valid there: later commits have later
            // timestamps.
            for query_id in self.stale_at(timestamp) {
                let query = &self.queries[&query_id];
                let call = query.call(&engine, &self.identity);
                match query.execute(&call, snapshot, &mut large_read).await? {
                    Evaluated::Result(result, returned) => {
                        self.watch(query_id, Arc::new(*result), timestamp);
                        // A function that did not return the snapshot has ended it.
                        let Some(returned) = returned else {
                            continue 'new_snapshot;
                        };
                        snapshot = returned;
                    }
                    Evaluated::NeedsPermit => {
                        // The snapshot is dropped. Otherwise these waiters could hold every
                        // connection that the holders of permits wait for.
                        large_read = Some(engine.database().large_reads.acquire().await);
                        continue 'new_snapshot;
                    }
                }
            }
            return Ok(timestamp);
        }
    }

    /// Returns the queries whose results are not valid at a published timestamp.
    fn stale_at(&self, timestamp: Timestamp) -> Vec<u32> {
        let mut stale = Vec::new();
        for (query_id, query) in &self.queries {
            let is_valid = match &query.result {
                Some(watched) => watched.invalidation.is_valid_at(timestamp),
                None => false,
            };
            if !is_valid {
                stale.push(*query_id);
            }
        }
        stale
    }

    /// Watches a new result of a query, which is valid at `since`.
    fn watch(&mut self, query_id: u32, result: Arc<QueryResult>, since: Timestamp) {
        let live = self.engine.live();
        let Some(query) = self.queries.get_mut(&query_id) else {
            return;
        };
        let args = Arc::clone(&query.args_json);
        let visibility = self.identity.visibility();
        let key = CacheKey::of_json(query.path.shared(), args, None, visibility)
            .with_journal_of(&result, &self.user);
        query.journal.clone_from(&result.journal);
        let watched = WatchedResult {
            invalidation: live.watch(&key, &result, since, &self.watcher),
            _watched: self.account.watch(result.charge.bytes()),
            result,
            key,
        };
        // The old result is unwatched after the new one is watched, so that a query in between
        // keeps its entry.
        if let Some(old) = query.result.replace(watched) {
            live.unwatch(&old.key, &self.watcher);
        }
    }
}

impl Subscription {
    /// Evaluates the query through the cache. The result includes every commit up to `since`.
    ///
    /// # Errors
    /// Those that a retry can help; others are results.
    async fn evaluate(
        &self,
        engine: &Engine,
        identity: &Identity,
        since: Timestamp,
    ) -> Result<Arc<QueryResult>> {
        let call = self.call(engine, identity);
        let began = Instant::now();
        let looked_up = match &self.function {
            Ok(function) => {
                let args_json = Arc::clone(&self.args_json);
                let query = CachedQuery {
                    function,
                    key: key_of(function, args_json, self.journal.as_deref()),
                    args: CallArgs::Untyped(self.args.clone()),
                    journal: self.journal.clone(),
                    since,
                    limit: Some(ConcurrencyLimit {
                        permits: &engine.live().permits,
                        store: &**engine.store(),
                    }),
                };
                look_up(query, &call).instrument(call.span()).await
            }
            Err(error) => Err(error.clone()),
        };
        let result = match looked_up {
            Ok(result) => result,
            Err(error) if error.code().may_pass() => return Err(error),
            Err(error) => Arc::new(failed(error, since, &call)),
        };
        self.record(&call, began, &result);
        Ok(result)
    }

    /// Executes the query on a snapshot, with the permit if there is one.
    ///
    /// # Errors
    /// As [`Subscription::evaluate`].
    async fn execute(
        &self,
        call: &Call,
        snapshot: Box<dyn Snapshot>,
        large_read: &mut Option<LargeReadPermit>,
    ) -> Result<Evaluated> {
        let began = Instant::now();
        let timestamp = snapshot.timestamp();
        let function = match &self.function {
            Ok(function) => {
                check_untyped_args(&call.engine, function, &self.args).map(|()| function)
            }
            Err(error) => Err(error.clone()),
        };
        let (result, returned) = match function {
            Ok(function) => {
                let args = self.args.clone();
                let journal = self.journal.clone();
                let budget = ReadBudget::from(large_read.take());
                let executed = execute_query(function, args, journal, call, snapshot, budget);
                match executed.instrument(call.span()).await {
                    Ok(execution) => {
                        *large_read = execution.permit;
                        (execution.result, Some(execution.snapshot))
                    }
                    Err(Unfinished::NeedsPermit(_)) => return Ok(Evaluated::NeedsPermit),
                    Err(Unfinished::Failed(error)) if error.code().may_pass() => return Err(error),
                    Err(Unfinished::Failed(error)) => (failed(error, timestamp, call), None),
                }
            }
            Err(error) => (failed(error, timestamp, call), Some(snapshot)),
        };
        self.record(call, began, &result);
        Ok(Evaluated::Result(Box::new(result), returned))
    }

    fn call(&self, engine: &Engine, identity: &Identity) -> Call {
        let source = engine.new_source(Caller::SyncWorker);
        let name = self.path.shared();
        Call::outermost(engine.clone(), identity.clone(), source, &name)
    }

    /// Records an execution and logs its failure, but only for the call that executed the query. So
    /// an execution is recorded once, however many clients watch the query.
    fn record(&self, call: &Call, began: Instant, result: &QueryResult) {
        if result.execution != call.execution {
            return;
        }
        if let Err(error) = &result.result {
            call.source.log_failure(self.path.as_str(), error);
        }
        let ended = Ended {
            identifier: self.path.shared(),
            kind: Some(FunctionKind::Query),
            log_lines: result.log_lines.clone(),
            began,
            is_cached: false,
            result: &result.result,
        };
        call.engine.record(call, ended);
    }

    /// Returns the result if it differs from the one sent last, and notes that it is sent.
    fn take_unsent(&mut self) -> Option<Arc<QueryResult>> {
        let result = &self.result.as_ref()?.result;
        let is_sent = match &self.last_sent {
            Some(sent) => is_equal(sent, result),
            None => false,
        };
        // Replaced even by an equal result, so that only one of them is kept in memory.
        self.last_sent = Some(Arc::clone(result));
        if is_sent {
            None
        } else {
            self.last_sent.clone()
        }
    }
}

/// Returns the result of a query that failed before it read anything.
fn failed(error: Error, timestamp: Timestamp, call: &Call) -> QueryResult {
    QueryResult {
        result: Err(error),
        log_lines: Vec::new(),
        // Nothing was read, so no commit can change the result.
        read_set: ReadSet::default(),
        timestamp,
        journal: None,
        json: OnceLock::new(),
        charge: Charge::default(),
        request_id: call.source.request_id.clone(),
        execution: call.execution,
    }
}

/// Returns whether two results are equal for the client.
fn is_equal(a: &Arc<QueryResult>, b: &Arc<QueryResult>) -> bool {
    if Arc::ptr_eq(a, b) {
        return true;
    }
    let is_same = match (&a.result, &b.result) {
        (Ok(a), Ok(b)) => Arc::ptr_eq(a, b) || a == b,
        (Err(a), Err(b)) => (a.code(), a.message(), a.data()) == (b.code(), b.message(), b.data()),
        _ => false,
    };
    // Clients print the log lines of a result, so new lines are sent too.
    is_same && a.log_lines == b.log_lines
}
