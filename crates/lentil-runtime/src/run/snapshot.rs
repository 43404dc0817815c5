use std::sync::atomic::{AtomicBool, Ordering};

use lentil_call::store_error;
use lentil_store::{Snapshot, StoreError, Timestamp};
use lentil_values::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::Instrument;

use super::check::check_args;
use super::query::into_value;
use crate::call::Call;
use crate::executions::Ended;
use crate::memory::Charge;
use crate::{Caller, Code, Error, FunctionCall, FunctionKind, FunctionOutcome, Result, Runtime};

/// Everything as it is at one timestamp, for queries that must agree.
pub struct QuerySnapshot {
    runtime: Runtime,
    timestamp: Timestamp,
    /// One query at a time reads it; none, when one has failed to give it back.
    snapshot: Mutex<Option<Box<dyn Snapshot>>>,
    has_expired: AtomicBool,
}

impl Runtime {
    /// Takes a snapshot of the present state, for queries that follow at once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn query_snapshot(&self) -> Result<QuerySnapshot> {
        self.as_query_snapshot(self.store().snapshot()).await
    }

    /// Takes a snapshot of the present state that is held for later queries. The store may end it early.
    ///
    /// # Errors
    /// When the store fails, or too many are held.
    pub async fn held_query_snapshot(&self) -> Result<QuerySnapshot> {
        self.as_query_snapshot(self.store().held_snapshot()).await
    }

    async fn as_query_snapshot(
        &self,
        snapshot: impl Future<Output = Result<Box<dyn Snapshot>, StoreError>>,
    ) -> Result<QuerySnapshot> {
        let snapshot = self.once_published(snapshot).await.map_err(store_error)?;
        Ok(QuerySnapshot {
            runtime: self.clone(),
            timestamp: snapshot.timestamp(),
            snapshot: Mutex::new(Some(snapshot)),
            has_expired: AtomicBool::new(false),
        })
    }

    /// Runs a query as of a timestamp that was published since the runtime opened; `None` when the result is no longer
    /// known.
    ///
    /// Most often nothing that the query reads has changed since: then its result of now, which the cache may have,
    /// is the one. Otherwise it reads `held`, the snapshot of the timestamp, if that is still there.
    pub async fn query_at(
        &self,
        timestamp: Timestamp,
        held: Option<&QuerySnapshot>,
        mut call: FunctionCall,
    ) -> Option<FunctionOutcome> {
        if timestamp > self.published() {
            return None;
        }
        let source = call.source.take();
        let source = source.unwrap_or_else(|| self.new_source(Caller::Tester));
        let (path, identity) = (call.path.clone(), call.identity.clone());
        let copy = FunctionCall::new(path, call.args.clone(), identity);
        let copy = copy.with_source(source.clone());
        if let Some(unchanged) = self.query_unchanged_since(timestamp, copy).await {
            return Some(unchanged);
        }
        let held = held?;
        let outcome = held.query(call.with_source(source)).await;
        (!held.has_expired()).then_some(outcome)
    }

    async fn query_unchanged_since(
        &self,
        timestamp: Timestamp,
        mut call: FunctionCall,
    ) -> Option<FunctionOutcome> {
        let (name, source) = (call.path.shared(), call.source.take()?);
        let context = Call::outermost(self.clone(), call.identity.clone(), source, &name);
        let run = async {
            let function = self
                .registry()
                .named(&call.path, call.identity.visibility())?;
            self.run_query(&function, call.args, None, &context).await
        };
        let result = match run.instrument(context.span()).await {
            Ok(run) if self.cache().held_at(&run, timestamp) => into_value(&run),
            Ok(_) => return None,
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            context.source.log_failure(&name, error);
        }
        Some(FunctionOutcome {
            result,
            log_lines: context.log.lines(),
            timestamp,
            request_id: context.source.request_id.clone(),
            charge: Charge::default(),
        })
    }
}

impl QuerySnapshot {
    /// The timestamp.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Returns whether a query has found that the snapshot cannot be read any more.
    pub fn has_expired(&self) -> bool {
        // Relaxed: a late reader only holds the ended snapshot a little longer.
        self.has_expired.load(Ordering::Relaxed)
    }

    /// Runs a query by its name.
    pub async fn query(&self, mut call: FunctionCall) -> FunctionOutcome {
        let (began, name, source) = (Instant::now(), call.path.shared(), call.source.take());
        let source = source.unwrap_or_else(|| self.runtime.new_source(Caller::Tester));
        let (runtime, identity) = (self.runtime.clone(), call.identity.clone());
        let context = Call::outermost(runtime, identity, source, &name);
        let running = self.run(call, &context).instrument(context.span());
        let result = running.await;
        if let Err(error) = &result {
            context.source.log_failure(&name, error);
        }
        let kind = Some(FunctionKind::Query);
        let ended = Ended::of(&context, name, kind, began, &result);
        self.runtime.record(&context, ended);
        FunctionOutcome {
            result,
            log_lines: context.log.lines(),
            timestamp: self.timestamp,
            request_id: context.source.request_id.clone(),
            charge: Charge::default(),
        }
    }

    async fn run(&self, call: FunctionCall, context: &Call) -> Result<Value> {
        let function = self
            .runtime
            .registry()
            .named(&call.path, call.identity.visibility())?;
        check_args(&self.runtime, &function, &call.args)?;
        let mut held = self.snapshot.lock().await;
        let Some(snapshot) = held.take() else {
            self.has_expired.store(true, Ordering::Relaxed);
            let message = "the snapshot is gone; begin with a new one";
            return Err(Error::new(Code::Unavailable, message));
        };
        let ran = self
            .runtime
            .execute_query(&function, call.args, None, context, snapshot)
            .await;
        let (run, snapshot) = ran?;
        if run.result.as_ref().is_err_and(is_expiry) {
            self.has_expired.store(true, Ordering::Relaxed);
        }
        *held = Some(snapshot);
        context.log.extend(&run.log_lines);
        into_value(&run)
    }
}

/// Returns whether the store reports that a snapshot has ended.
fn is_expiry(error: &Error) -> bool {
    let cause = error.cause().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(StoreError::SnapshotExpired))
}
