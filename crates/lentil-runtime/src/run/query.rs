use std::pin::pin;
use std::sync::{Arc, OnceLock};

use lentil_call::store_error;
use lentil_store::{Snapshot, StoreError, Timestamp};
use lentil_values::{Object, Value};
use tokio::time::Instant;

use super::check::{check_args, check_result};
use super::guard::guard;
use super::nested::wrong_kind;
use crate::cache::{CacheKey, CachedRun, Gate, Lookup, args_json};
use crate::call::Call;
use crate::database::{Journal, Transaction};
use crate::executions::Ended;
use crate::function::Run;
use crate::{
    Caller, Code, DatabaseReader, Error, Function, FunctionKind, Identity, QueryCtx, Result,
    Runtime,
};

impl Runtime {
    /// Answers a query, from the cache where that has an answer that still holds.
    ///
    /// # Errors
    /// The server's, and that the arguments or the kind are wrong; the function's own is in the answer.
    pub(crate) async fn run_query(
        &self,
        function: &Arc<Function>,
        args: Object,
        journal: Option<String>,
        call: &Call,
    ) -> Result<Arc<CachedRun>> {
        let began = Instant::now();
        let key = self.key_of(function, args_json(&args), journal.as_deref());
        let answered = async {
            let since = self.store().catch_up().await.map_err(store_error)?;
            let run = self
                .look_up(function, key, args, journal, call, since, None)
                .await?;
            let published = self.store().wait_published(run.timestamp).await;
            published.map_err(store_error).map(|()| run)
        };
        let answered = answered.await;
        if let Ok(run) = &answered {
            if run.read_set.reads_identity() {
                call.auth.note_asked();
            }
            call.log.extend(&run.log_lines);
        }
        self.record_query(function, call, began, &answered);
        answered
    }

    /// Records the answer to a query, from its own execution or from another.
    fn record_query(
        &self,
        function: &Function,
        call: &Call,
        began: Instant,
        answered: &Result<Arc<CachedRun>>,
    ) {
        let result = match answered {
            Ok(run) => run.result.as_ref().map(drop).map_err(Error::clone),
            Err(error) => Err(error.clone()),
        };
        let run = answered.as_ref().ok();
        let ended = Ended {
            identifier: function.path.shared(),
            kind: Some(FunctionKind::Query),
            log_lines: run.map_or_else(Vec::new, |run| run.log_lines.clone()),
            began,
            is_cached: run.is_some_and(|run| run.execution != call.execution),
            result: &result,
        };
        self.record(call, ended);
    }

    /// The cache's key of a call; `args` are as JSON.
    pub(crate) fn key_of(
        &self,
        function: &Function,
        args: Arc<[u8]>,
        journal: Option<&str>,
    ) -> CacheKey {
        CacheKey::of_json(function.path.shared(), args, journal, function.visibility)
    }

    /// An answer that includes every commit up to `since`; its timestamp may not be published yet.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another part of one call"
    )]
    pub(crate) async fn look_up(
        &self,
        function: &Arc<Function>,
        key: CacheKey,
        args: Object,
        journal: Option<String>,
        call: &Call,
        since: Timestamp,
        gate: Option<Gate<'_>>,
    ) -> Result<Arc<CachedRun>> {
        check_args(self, function, &args)?;
        let lookup = Lookup {
            key,
            user: call.auth.identity().key(),
            since,
            now_ms: self.now_ms(),
            gate,
        };
        match self.cache().get(&lookup) {
            Some(run) => Ok(run),
            // Apart, so that calls which the cache answers do not carry the room that running takes.
            None => Box::pin(self.get_or_run(lookup, function, args, journal, call)).await,
        }
    }

    async fn get_or_run(
        &self,
        lookup: Lookup<'_>,
        function: &Arc<Function>,
        args: Object,
        journal: Option<String>,
        call: &Call,
    ) -> Result<Arc<CachedRun>> {
        let run = async {
            let snapshot = self.store().snapshot().await.map_err(store_error)?;
            Ok(self
                .execute_query(function, args, journal, call, snapshot)
                .await?
                .0)
        };
        self.cache().get_or_run(lookup, run).await
    }

    /// Runs a query on a snapshot, and gives that back where the function has left it.
    ///
    /// # Errors
    /// The server's; the function's own is in the answer.
    pub(crate) async fn execute_query(
        &self,
        function: &Arc<Function>,
        args: Object,
        journal: Option<String>,
        call: &Call,
        snapshot: Box<dyn Snapshot>,
    ) -> Result<(CachedRun, Box<dyn Snapshot>)> {
        let Run::Query(run) = &function.run else {
            return Err(wrong_kind(function, FunctionKind::Query));
        };
        let name = function.path.as_str();
        let timestamp = snapshot.timestamp();
        let own = call.attempt(&function.path.shared());
        let (log, auth) = (own.log.clone(), own.auth.clone());
        let mut ctx = self.query_ctx(own, snapshot, journal);
        let began = Instant::now();
        let result = guard(
            name,
            began,
            self.limits().query_time,
            run(&mut ctx, args).as_mut(),
        )
        .await;
        let result = result.and_then(|value| check_result(self, function, &value).map(|()| value));
        if let Err(error) = &result
            && error.code().may_pass()
        {
            self.store()
                .wait_published(timestamp)
                .await
                .map_err(store_error)?;
            return Err(error.clone());
        }
        let (snapshot, mut read_set, journal) = match ctx.db.into_transaction() {
            Some(transaction) => transaction.into_query(),
            None => return Err(result.err().unwrap_or_else(|| abandoned(name))),
        };
        if auth.was_asked() {
            read_set.note_identity();
        }
        let log_lines = log.lines();
        let (result, journal, json) = (result.map(Arc::new), journal.now, OnceLock::new());
        let mut run = CachedRun {
            result,
            log_lines,
            read_set,
            timestamp,
            journal,
            json,
            charge: self.memory().charge(0),
            request_id: call.source.request_id.clone(),
            execution: call.execution,
        };
        run.charge.set(run.heap_size());
        Ok((run, snapshot))
    }

    /// A query's context on a snapshot.
    fn query_ctx(
        &self,
        call: Call,
        snapshot: Box<dyn Snapshot>,
        journal: Option<String>,
    ) -> QueryCtx {
        let transaction = Transaction::query(
            Arc::clone(self.database()),
            snapshot,
            Journal {
                before: journal,
                now: None,
            },
        );
        QueryCtx::new(DatabaseReader::over(Box::new(transaction)), call)
    }

    /// Runs `body` as a query on what is committed now.
    pub(crate) async fn read<R>(
        &self,
        identity: Identity,
        body: impl AsyncFnOnce(&mut QueryCtx) -> Result<R>,
    ) -> Result<R> {
        let name: Arc<str> = "a query without a name".into();
        let source = self.new_source(Caller::Tester);
        let call = Call::outermost(self.clone(), identity, source, &name);
        let snapshot = self.store().snapshot().await.map_err(store_error)?;
        let timestamp = snapshot.timestamp();
        let mut ctx = self.query_ctx(call, snapshot, None);
        let result = guard(
            &name,
            Instant::now(),
            self.limits().query_time,
            pin!(body(&mut ctx)),
        )
        .await;
        let lent = ctx.db.into_transaction().is_none();
        // Be it a value or an error: it is released when what it rests on is shown.
        self.store()
            .wait_published(timestamp)
            .await
            .map_err(store_error)?;
        result.and_then(|value| {
            if lent {
                Err(abandoned(&name))
            } else {
                Ok(value)
            }
        })
    }

    /// Opens a snapshot of which everything may be shown.
    pub(crate) async fn published_snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.once_published(self.store().snapshot()).await
    }

    /// Waits until everything in a snapshot may be shown.
    pub(crate) async fn once_published(
        &self,
        snapshot: impl Future<Output = Result<Box<dyn Snapshot>, StoreError>>,
    ) -> Result<Box<dyn Snapshot>, StoreError> {
        self.store().catch_up().await?;
        let snapshot = snapshot.await?;
        self.store().wait_published(snapshot.timestamp()).await?;
        Ok(snapshot)
    }
}

fn abandoned(name: &str) -> Error {
    Error::new(
        Code::Abandoned,
        format!("`{name}` dropped a nested call before it finished"),
    )
}

/// What a query answers, owned by its caller.
pub(crate) fn into_value(run: &CachedRun) -> Result<Value> {
    run.result
        .as_ref()
        .map(|value| Value::clone(value))
        .map_err(Error::clone)
}
