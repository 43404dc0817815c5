//! Several queries at one timestamp.
//!
//! The store keeps no history. `query_ts` therefore holds on to a snapshot for a while, which the `query_at_ts` that
//! follow read; where that has been given up, a query may still be answered when nothing it reads has changed since.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use lentil_protocol::{Batch, FunctionRequest, FunctionResponse, WireTimestamp};
use lentil_runtime::http::Body;
use lentil_runtime::memory::Charge;
use lentil_runtime::{FunctionCall, Identity, QuerySnapshot};
use parking_lot::Mutex;

use super::functions::{CallBody, function_path};
use super::{ApiError, Audience, failure, json, shown_lines};
use crate::service::Server;

/// How long a timestamp that was given out can be asked about.
const HELD: Duration = Duration::from_secs(30);
/// How many are held at a time, the latest.
const HELD_AT_ONCE: usize = 4;

/// The snapshots of the timestamps that were given out.
#[derive(Default)]
pub(crate) struct HeldSnapshots(Mutex<VecDeque<(Instant, Arc<QuerySnapshot>)>>);

impl HeldSnapshots {
    fn hold(&self, snapshot: Arc<QuerySnapshot>) {
        let mut held = self.0.lock();
        held.push_back((Instant::now(), snapshot));
        if held.len() > HELD_AT_ONCE {
            held.pop_front();
        }
    }

    fn at(&self, nanos: u64) -> Option<Arc<QuerySnapshot>> {
        self.release();
        let held = self.0.lock();
        held.iter()
            .find(|(_, snapshot)| snapshot.timestamp_nanos() == nanos)
            .map(|(_, snapshot)| Arc::clone(snapshot))
    }

    /// Lets go of what has been held long enough.
    pub(crate) fn release(&self) {
        self.0.lock().retain(|(since, _)| since.elapsed() < HELD);
    }
}

/// `POST /api/query_ts`: the timestamp of now, for `query_at_ts`.
pub(super) async fn query_ts(server: &Server) -> Result<Response<Body>, ApiError> {
    let snapshot = server
        .runtime
        .query_snapshot()
        .await
        .map_err(|error| unavailable(&error))?;
    let ts = WireTimestamp(snapshot.timestamp_nanos());
    server.held.hold(Arc::new(snapshot));
    Ok(json(StatusCode::OK, format!(r#"{{"ts":"{ts}"}}"#)))
}

/// `POST /api/query_at_ts`: a query as it was at a timestamp.
pub(super) async fn query_at_ts(
    server: &Server,
    identity: Identity,
    (request, _charge): (FunctionRequest, Charge),
    request_id: &str,
) -> Result<Response<Body>, ApiError> {
    let Some(WireTimestamp(nanos)) = request.ts else {
        let message = "`ts` is missing; ask `POST /api/query_ts` for one";
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "BadJsonBody",
            message,
        ));
    };
    let Some(snapshot) = server.held.at(nanos) else {
        let message = "the timestamp is too old, or was never given out; ask `POST /api/query_ts` for a new one";
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "OutOfRetention",
            message,
        ));
    };
    let format = request.format;
    let response = one(server, &snapshot, identity, request, request_id).await?;
    Ok(json(StatusCode::OK, response.to_json(format)))
}

/// `POST /api/query_batch`: several queries at one timestamp; each may fail on its own.
pub(super) async fn query_batch(
    server: &Server,
    identity: Identity,
    body: &CallBody,
    request_id: &str,
) -> Result<Response<Body>, ApiError> {
    let batch = Batch::parse(body.bytes())?;
    let snapshot = server
        .runtime
        .query_snapshot()
        .await
        .map_err(|error| unavailable(&error))?;
    let mut results = Vec::with_capacity(batch.queries.len());
    let mut charges = Vec::new();
    for query in batch.queries {
        let format = query.format;
        let response = one(server, &snapshot, identity.clone(), query, request_id).await?;
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
    request_id: &str,
) -> Result<FunctionResponse, ApiError> {
    let path = function_path(&request.path)?;
    let audience = Audience::of(server, &identity);
    let outcome = snapshot
        .query(FunctionCall::new(path, request.args, identity))
        .await;
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

fn unavailable(error: &lentil_runtime::Error) -> ApiError {
    tracing::warn!("no snapshot can be had: {error}");
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "Unavailable",
        "the server cannot answer now; try again later",
    )
}
