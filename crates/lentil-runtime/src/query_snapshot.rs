use std::sync::atomic::{AtomicBool, Ordering};

use lentil_call::{Caller, Code, Error, FunctionKind, Result, store_error};
use lentil_database::LargeReadPermit;
use lentil_store::{Snapshot, StoreError, Timestamp};
use lentil_values::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::Instrument;

use crate::engine::{Call, Engine};
use crate::function_call::{FunctionCall, FunctionOutcome};
use crate::memory::Charge;
use crate::run::{
    ExecutedQuery, check_untyped_args, copy_value, execute_on, into_value, once_published,
    run_query,
};
use crate::typed::CallArgs;

/// A view of all data at one timestamp, for queries that must agree.
pub struct QuerySnapshot {
    engine: Engine,
    timestamp: Timestamp,
    /// Locked while a query reads it. `None` after a query that did not return it.
    snapshot: Mutex<Option<Box<dyn Snapshot>>>,
    /// The permit with which all queries execute. Without one, each large query waits for its own.
    permit: Mutex<Option<LargeReadPermit>>,
    has_expired: AtomicBool,
}

impl QuerySnapshot {
    /// Waits until the snapshot's commits are published, and takes it.
    pub(crate) async fn take(
        engine: &Engine,
        snapshot: impl Future<Output = Result<Box<dyn Snapshot>, StoreError>>,
        permit: Option<LargeReadPermit>,
    ) -> Result<QuerySnapshot> {
        let snapshot = once_published(engine, snapshot)
            .await
            .map_err(store_error)?;
        Ok(QuerySnapshot {
            engine: engine.clone(),
            timestamp: snapshot.timestamp(),
            snapshot: Mutex::new(Some(snapshot)),
            permit: Mutex::new(permit),
            has_expired: AtomicBool::new(false),
        })
    }

    /// Returns the timestamp of the snapshot.
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
        let source = source.unwrap_or_else(|| self.engine.new_source(Caller::Tester));
        let identity = call.identity.clone();
        let context = Call::outermost(self.engine.clone(), identity, source, &name);
        let running = self.run(call, &context).instrument(context.span());
        let (result, charge) = match running.await {
            Ok((value, charge)) => (Ok(value), charge),
            Err(error) => (Err(error), Charge::default()),
        };
        if let Err(error) = &result {
            context.source.log_failure(&name, error);
        }
        let kind = Some(FunctionKind::Query);
        let ended = context.ended(name, kind, began, &result);
        self.engine.record(&context, ended);
        FunctionOutcome {
            result,
            log_lines: context.log.lines(),
            timestamp: self.timestamp,
            request_id: context.source.request_id.clone(),
            charge,
        }
    }

    async fn run(&self, call: FunctionCall, context: &Call) -> Result<(Value, Charge)> {
        let function = self
            .engine
            .registry()
            .named(&call.path, call.identity.visibility())?;
        check_untyped_args(&self.engine, &function, &call.args)?;
        let mut held = self.snapshot.lock().await;
        let Some(snapshot) = held.take() else {
            self.has_expired.store(true, Ordering::Relaxed);
            let message = "the snapshot is gone; begin with a new one";
            return Err(Error::new(Code::Unavailable, message));
        };
        let mut permit = self.permit.lock().await;
        let is_permitted = permit.is_some();
        let executed = execute_on(&function, &call.args, context, snapshot, permit.take()).await;
        let ExecutedQuery {
            result,
            snapshot,
            permit: returned,
        } = executed?;
        if is_permitted {
            *permit = returned;
        }
        if result.result.as_ref().is_err_and(is_expiry) {
            self.has_expired.store(true, Ordering::Relaxed);
        }
        *held = Some(snapshot);
        context.log.extend(&result.log_lines);
        copy_value(&result, &call.charge).await
    }
}

/// Returns whether the store reports that a snapshot has ended.
fn is_expiry(error: &Error) -> bool {
    let cause = error.cause().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(StoreError::SnapshotExpired))
}

/// Runs a query as of a timestamp that was published since the runtime opened; `None` when the
/// result is no longer known.
///
/// Usually nothing that the query reads has changed since then. Then its current result, which may
/// be cached, is returned. Otherwise the query reads `held`, the snapshot of the timestamp, if it
/// still exists.
pub(crate) async fn query_at(
    engine: &Engine,
    timestamp: Timestamp,
    held: Option<&QuerySnapshot>,
    mut call: FunctionCall,
) -> Option<FunctionOutcome> {
    // A client chooses the timestamp. A later one is not a state that the server has published.
    if timestamp > engine.published() {
        return None;
    }
    let source = call.source.take();
    let source = source.unwrap_or_else(|| engine.new_source(Caller::Tester));
    let path = call.path.clone();
    let identity = call.identity.clone();
    let copy = FunctionCall::new(path, call.args.clone(), identity).with_source(source.clone());
    if let Some(unchanged) = query_unchanged_since(engine, timestamp, copy).await {
        return Some(unchanged);
    }
    let held = held?;
    let outcome = held.query(call.with_source(source)).await;
    (!held.has_expired()).then_some(outcome)
}

async fn query_unchanged_since(
    engine: &Engine,
    timestamp: Timestamp,
    mut call: FunctionCall,
) -> Option<FunctionOutcome> {
    let name = call.path.shared();
    let source = call.source.take()?;
    let context = Call::outermost(engine.clone(), call.identity.clone(), source, &name);
    let running = async {
        let visibility = call.identity.visibility();
        let function = engine.registry().named(&call.path, visibility)?;
        run_query(&function, CallArgs::Untyped(call.args), None, &context).await
    };
    let result = match running.instrument(context.span()).await {
        Ok(found) if engine.cache().was_valid_at(&found, timestamp) => into_value(&found),
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
