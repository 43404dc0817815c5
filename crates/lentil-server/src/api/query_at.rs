//! Several queries at one timestamp.
//!
//! The store keeps no history. `query_ts` therefore holds a snapshot for a while, and the `query_at_ts` that follow read
//! it where something that they read has changed since.
//!
//! Timestamps are cheap to ask for, so the snapshots are bounded: equal timestamps share one, and the oldest goes when
//! there are too many. A query at a timestamp whose snapshot is gone is answered when nothing that it reads has changed;
//! otherwise it fails, and the client begins again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use lentil_protocol::{Batch, FunctionRequest, FunctionResponse, WireTimestamp};
use lentil_runtime::http::Body;
use lentil_runtime::memory::Charge;
use lentil_runtime::{
    CallSource, FunctionCall, FunctionOutcome, Identity, QuerySnapshot, RequestId, Runtime,
    Timestamp,
};
use parking_lot::Mutex;

use super::functions::{CallBody, function_path};
use super::{ApiError, Audience, failure, json, shown_lines};
use crate::service::Server;

/// The time that a timestamp's snapshot is held after the timestamp was last given out.
const HELD_TIMEOUT: Duration = Duration::from_secs(30);
/// Snapshots that are held at the same time at most; the oldest goes first.
const MAX_HELD_SNAPSHOTS: usize = 64;

/// The snapshots of the timestamps that were given out.
pub(crate) struct HeldSnapshots {
    /// No earlier timestamp has been given out by this process.
    started: Timestamp,
    snapshots: Mutex<VecDeque<Held>>,
}

struct Held {
    since: Instant,
    snapshot: Arc<QuerySnapshot>,
}

impl HeldSnapshots {
    pub(crate) fn of(runtime: &Runtime) -> HeldSnapshots {
        HeldSnapshots {
            started: runtime.published(),
            snapshots: Mutex::default(),
        }
    }

    /// Holds a snapshot, instead of the one of the same timestamp, which would end earlier.
    fn hold(&self, snapshot: Arc<QuerySnapshot>) {
        let timestamp = snapshot.timestamp();
        let mut held = self.snapshots.lock();
        let same = held
            .iter()
            .position(|held| held.snapshot.timestamp() == timestamp);
        let replaced = same.and_then(|at| held.remove(at));
        held.push_back(Held {
            since: Instant::now(),
            snapshot,
        });
        let evicted = (held.len() > MAX_HELD_SNAPSHOTS).then(|| held.pop_front());
        // Ending a snapshot takes a statement on its connection: not under the lock.
        drop(held);
        drop((replaced, evicted));
    }

    fn at(&self, timestamp: Timestamp) -> Option<Arc<QuerySnapshot>> {
        self.release();
        let held = self.snapshots.lock();
        held.iter()
            .find(|held| held.snapshot.timestamp() == timestamp)
            .map(|held| Arc::clone(&held.snapshot))
    }

    /// Releases the snapshots that have been held long enough.
    pub(crate) fn release(&self) {
        let mut held = self.snapshots.lock();
        let (over, kept): (VecDeque<Held>, VecDeque<Held>) = held
            .drain(..)
            .partition(|held| held.since.elapsed() >= HELD_TIMEOUT || held.snapshot.has_expired());
        *held = kept;
        drop(held);
        drop(over);
    }
}

/// `POST /api/query_ts`: the timestamp of now, for `query_at_ts`.
pub(super) async fn query_ts(
    server: &Server,
    request_id: &RequestId,
) -> Result<Response<Body>, ApiError> {
    let snapshot = server
        .runtime
        .held_query_snapshot()
        .await
        .map_err(|error| unavailable(&error, request_id))?;
    let ts = WireTimestamp(snapshot.timestamp().as_nanos());
    server.held.hold(Arc::new(snapshot));
    Ok(json(StatusCode::OK, format!(r#"{{"ts":"{ts}"}}"#)))
}

/// `POST /api/query_at_ts`: a query as it was at a timestamp.
pub(super) async fn query_at_ts(
    server: &Server,
    identity: Identity,
    (request, _charge): (FunctionRequest, Charge),
    source: CallSource,
) -> Result<Response<Body>, ApiError> {
    let Some(WireTimestamp(nanos)) = request.ts else {
        let message = "`ts` is missing; ask `POST /api/query_ts` for one";
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "BadJsonBody",
            message,
        ));
    };
    let timestamp = Timestamp::from_nanos(nanos);
    if timestamp < server.held.started {
        return Err(out_of_retention());
    }
    let held = server.held.at(timestamp);
    let format = request.format;
    let path = function_path(&request.path)?;
    let audience = Audience::of(server, &identity);
    let call = FunctionCall::new(path, request.args, identity).with_source(source);
    let outcome = server
        .runtime
        .query_at(timestamp, held.as_deref(), call)
        .await
        .ok_or_else(out_of_retention)?;
    let response = respond(outcome, audience)?;
    Ok(json(StatusCode::OK, response.to_json(format)))
}

fn out_of_retention() -> ApiError {
    let message = "the timestamp is too old, or was never given out; \
                   ask `POST /api/query_ts` for a new one and repeat all queries at that";
    ApiError {
        retry_after: Some(Duration::ZERO),
        ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "OutOfRetention", message)
    }
}

/// `POST /api/query_batch`: several queries at one timestamp; each may fail on its own.
pub(super) async fn query_batch(
    server: &Server,
    identity: Identity,
    body: &CallBody,
    source: CallSource,
) -> Result<Response<Body>, ApiError> {
    let batch = Batch::parse(body.bytes())?;
    let snapshot = server
        .runtime
        .query_snapshot()
        .await
        .map_err(|error| unavailable(&error, source.request_id()))?;
    let mut results = Vec::with_capacity(batch.queries.len());
    let mut charges = Vec::new();
    for query in batch.queries {
        let format = query.format;
        let response = one(server, &snapshot, identity.clone(), query, source.clone()).await?;
        let text = response.to_json(format);
        // Twice: the results are joined to one text.
        charges.push(body.charge_response(2 * text.len())?);
        results.push(text);
    }
    Ok(json(
        StatusCode::OK,
        format!(r#"{{"results":[{}]}}"#, results.join(",")),
    ))
}

async fn one(
    server: &Server,
    snapshot: &QuerySnapshot,
    identity: Identity,
    request: FunctionRequest,
    source: CallSource,
) -> Result<FunctionResponse, ApiError> {
    let path = function_path(&request.path)?;
    let audience = Audience::of(server, &identity);
    let outcome = snapshot
        .query(FunctionCall::new(path, request.args, identity).with_source(source))
        .await;
    respond(outcome, audience)
}

fn respond(outcome: FunctionOutcome, audience: Audience) -> Result<FunctionResponse, ApiError> {
    let request_id = &outcome.request_id;
    let result = match outcome.result {
        Ok(value) => Ok(value),
        Err(error) => match ApiError::of_system(&error, request_id) {
            Some(error) => return Err(error),
            None => Err(failure(&error, request_id, audience)),
        },
    };
    Ok(FunctionResponse {
        result,
        log_lines: shown_lines(&outcome.log_lines, audience),
    })
}

fn unavailable(error: &lentil_runtime::Error, request_id: &RequestId) -> ApiError {
    tracing::error!(%request_id, code = error.code().as_str(), %error, "failed to take a snapshot");
    ApiError::unavailable(request_id, "the server cannot answer")
}
