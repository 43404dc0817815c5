use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use lentil_call::{Backoff, Caller, Error, FunctionKind, Identity, Result, store_error};
use lentil_store::Timestamp;
use lentil_store::conflict::ReadSet;
use tokio::time::Instant;
use tracing::Instrument;

use super::{Answer, Subscribed, Subscriber, Update};
use crate::cache::{CacheKey, QueryResult, ConcurrencyLimit};
use crate::engine::{Call, Engine};
use crate::executions::Ended;
use crate::memory::Charge;
use crate::run::{CachedQuery, check_args, execute_query, key_of, look_up, published_snapshot};

/// Queries of one client that run at the same time.
const RUNS_OF_ONE: usize = 8;
/// Attempts to find a timestamp at which all answers hold, before all are computed from one snapshot.
const LOOSE_ATTEMPTS: usize = 3;
/// The first and the longest pause between attempts while the server itself fails.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(60);

impl Subscriber {
    /// Answers the queries that are new or may have changed, at one timestamp, which is at or after `floor`.
    ///
    /// Where the server itself fails, it is tried again until it does not. An answer equal to the last is left out.
    pub async fn refresh(&mut self, floor: Timestamp) -> Update {
        let mut backoff = Backoff::new(RETRY_PAUSE, MAX_RETRY_PAUSE);
        let timestamp = loop {
            match self.answer_all(floor).await {
                Ok(timestamp) => break timestamp,
                Err(error) => {
                    tracing::warn!(
                        code = error.code().as_str(),
                        "live queries cannot be answered: {error}"
                    );
                    tokio::time::sleep(backoff.next_pause()).await;
                }
            }
        };
        self.timestamp = timestamp;
        let changes = self
            .queries
            .iter_mut()
            .filter_map(|(number, query)| Some((*number, query.tell()?)))
            .collect();
        Update { timestamp, changes }
    }

    async fn answer_all(&mut self, floor: Timestamp) -> Result<Timestamp> {
        let engine = self.engine.clone();
        let store = engine.store();
        let _pin = engine.live().pin(store.published());
        let caught_up = store.catch_up().await.map_err(store_error)?;
        let mut timestamp = self.timestamp.max(floor).max(caught_up);
        for _ in 0..LOOSE_ATTEMPTS {
            let due = self.due(timestamp);
            if due.is_empty() {
                return Ok(timestamp);
            }
            let since = store.catch_up().await.map_err(store_error)?;
            let runs = due.into_iter().map(|number| {
                let (engine, identity, query) = (&engine, &self.identity, &self.queries[&number]);
                async move { Ok::<_, Error>((number, query.run(engine, identity, since).await?)) }
            });
            let runs: Vec<_> = stream::iter(runs)
                .buffer_unordered(RUNS_OF_ONE)
                .collect()
                .await;
            let runs = runs.into_iter().collect::<Result<Vec<_>>>()?;
            timestamp = runs.iter().fold(timestamp.max(since), |latest, (_, run)| {
                latest.max(run.timestamp)
            });
            // What is published has been told: from here on the marks say which answers hold.
            store.wait_published(timestamp).await.map_err(store_error)?;
            for (number, run) in runs {
                self.keep(number, run, since);
            }
        }
        self.answer_on_a_snapshot(timestamp).await
    }

    /// Answers on one snapshot, one after another: where commits come faster than answers can be made to agree.
    async fn answer_on_a_snapshot(&mut self, timestamp: Timestamp) -> Result<Timestamp> {
        let engine = self.engine.clone();
        if self.due(timestamp).is_empty() {
            return Ok(timestamp);
        }
        let _place = engine.live().permits.acquire().await;
        'fresh: loop {
            let mut snapshot = published_snapshot(&engine).await.map_err(store_error)?;
            let timestamp = snapshot.timestamp();
            // An answer that holds here goes on to: a commit that may yet touch it is a later one.
            for number in self.due(timestamp) {
                let query = &self.queries[&number];
                let (call, began) = (query.call(&engine, &self.identity), Instant::now());
                let function = query.function.clone();
                let function =
                    function.and_then(|it| check_args(&engine, &it, &query.args).map(|()| it));
                let ran = match function {
                    Ok(function) => {
                        let (args, journal) = (query.args.clone(), query.journal.clone());
                        execute_query(&function, args, journal, &call, snapshot)
                            .instrument(call.span())
                            .await
                    }
                    Err(error) => Ok((failed(error, timestamp, &call), snapshot)),
                };
                let (run, left) = match ran {
                    Ok((run, left)) => (run, Some(left)),
                    Err(error) if error.code().may_pass() => return Err(error),
                    // A function that did not give the snapshot back.
                    Err(error) => (failed(error, timestamp, &call), None),
                };
                query.note(&call, began, &run);
                self.keep(number, Arc::new(run), timestamp);
                let Some(left) = left else { continue 'fresh };
                snapshot = left;
            }
            return Ok(timestamp);
        }
    }

    /// The queries whose answers do not hold at a published timestamp.
    fn due(&self, timestamp: Timestamp) -> BTreeSet<u32> {
        let is_due = |query: &Subscribed| {
            query
                .answer
                .as_ref()
                .is_none_or(|answer| !answer.mark.holds_at(timestamp))
        };
        self.queries
            .iter()
            .filter(|(_, query)| is_due(query))
            .map(|(number, _)| *number)
            .collect()
    }

    /// Takes an answer that is known to hold at `since`, and watches it.
    fn keep(&mut self, number: u32, run: Arc<QueryResult>, since: Timestamp) {
        let (live, visibility) = (self.engine.live(), self.identity.visibility());
        let Some(query) = self.queries.get_mut(&number) else {
            return;
        };
        let args = Arc::clone(&query.args_json);
        let key =
            CacheKey::of_json(query.path.shared(), args, None, visibility).with_journal_of(&run, &self.user);
        let mark = live.watch(&key, &run, since, &self.watcher);
        query.journal.clone_from(&run.journal);
        let _watched = self.account.watch(run.charge.bytes());
        let answer = Answer {
            run,
            key,
            mark,
            _watched,
        };
        if let Some(before) = query.answer.replace(answer) {
            live.unwatch(&before.key, &self.watcher);
        }
    }
}

impl Subscribed {
    async fn run(
        &self,
        engine: &Engine,
        identity: &Identity,
        since: Timestamp,
    ) -> Result<Arc<QueryResult>> {
        let limit = ConcurrencyLimit {
            permits: &engine.live().permits,
            store: &**engine.store(),
        };
        let (call, began) = (self.call(engine, identity), Instant::now());
        let run = match &self.function {
            Ok(function) => {
                let (args, journal) = (self.args.clone(), self.journal.clone());
                let json = Arc::clone(&self.args_json);
                let query = CachedQuery {
                    function,
                    key: key_of(function, json, journal.as_deref()),
                    args,
                    journal,
                    since,
                    limit: Some(limit),
                };
                look_up(query, &call).instrument(call.span()).await
            }
            Err(error) => Err(error.clone()),
        };
        let run = match run {
            Err(error) if !error.code().may_pass() => Arc::new(failed(error, since, &call)),
            run => run?,
        };
        self.note(&call, began, &run);
        Ok(run)
    }

    fn call(&self, engine: &Engine, identity: &Identity) -> Call {
        let source = engine.new_source(Caller::SyncWorker);
        let name = self.path.shared();
        Call::outermost(engine.clone(), identity.clone(), source, &name)
    }

    /// Records an execution, and logs its failure. Does neither for the answer of another call, so that an execution
    /// is recorded once for all its watchers.
    fn note(&self, call: &Call, began: Instant, run: &QueryResult) {
        if run.execution != call.execution {
            return;
        }
        if let Err(error) = &run.result {
            call.source.log_failure(self.path.as_str(), error);
        }
        let ended = Ended {
            identifier: self.path.shared(),
            kind: Some(FunctionKind::Query),
            log_lines: run.log_lines.clone(),
            began,
            is_cached: false,
            result: &run.result,
        };
        call.engine.record(call, ended);
    }

    /// What the client is to be told, if it has been told otherwise.
    fn tell(&mut self) -> Option<Arc<QueryResult>> {
        let run = &self.answer.as_ref()?.run;
        if self
            .told
            .as_ref()
            .is_some_and(|told| says_the_same(told, run))
        {
            // The client has an equal answer; keep only one of them.
            self.told = Some(Arc::clone(run));
            return None;
        }
        self.told = Some(Arc::clone(run));
        self.told.clone()
    }
}

/// The answer of a query that did not come to read anything.
fn failed(error: Error, timestamp: Timestamp, call: &Call) -> QueryResult {
    QueryResult {
        result: Err(error),
        log_lines: Vec::new(),
        read_set: ReadSet::default(),
        timestamp,
        journal: None,
        json: OnceLock::new(),
        charge: Charge::default(),
        request_id: call.source.request_id.clone(),
        execution: call.execution,
    }
}

fn says_the_same(a: &Arc<QueryResult>, b: &Arc<QueryResult>) -> bool {
    let is_same = match (&a.result, &b.result) {
        (Ok(a), Ok(b)) => Arc::ptr_eq(a, b) || a == b,
        (Err(a), Err(b)) => (a.code(), a.message(), a.data()) == (b.code(), b.message(), b.data()),
        _ => false,
    };
    Arc::ptr_eq(a, b) || is_same && a.log_lines == b.log_lines
}
