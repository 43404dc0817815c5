//! Several queries at one timestamp.
//!
//! A query at a timestamp without a lease succeeds if nothing that it reads has changed since then.
//! Otherwise it fails, and the client begins again with a new timestamp.

use std::time::Duration;

use http::{Response, StatusCode};
use lentil_protocol::{Batch, WireTimestamp};
use lentil_runtime::http::Body;
use lentil_runtime::{Error, FunctionCall, RequestId, Timestamp};

use super::call_body::{CallBody, ParsedCall};
use super::functions::{function_path, function_response};
use super::request::ApiRequest;
use crate::audience::Audience;
use crate::error::ApiError;
use crate::response::json;

/// `POST /api/query_ts` returns the current timestamp, for `query_at_ts`.
pub(crate) async fn query_ts(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    let ApiRequest { server, source, .. } = request;
    let snapshot = server.runtime.held_query_snapshot().await;
    let snapshot = snapshot.map_err(|error| unavailable(&error, &source.request_id))?;
    let ts = WireTimestamp(snapshot.timestamp().as_nanos());
    server.snapshot_leases.add(snapshot);
    Ok(json(StatusCode::OK, format!(r#"{{"ts":"{ts}"}}"#)))
}

/// `POST /api/query_at_ts` evaluates a query at a timestamp.
pub(crate) async fn query_at_ts(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    let ApiRequest {
        server,
        identity,
        source,
        ..
    } = request;
    let body = CallBody::read(server, &request.parts.headers, request.body).await?;
    let ParsedCall { request, charge } = body.parse()?;
    let Some(WireTimestamp(nanos)) = request.ts else {
        let message = "`ts` is missing; ask `POST /api/query_ts` for one";
        return Err(ApiError::bad_request("BadJsonBody", message));
    };
    let timestamp = Timestamp::from_nanos(nanos);
    if !server.snapshot_leases.may_have_issued(timestamp) {
        return Err(out_of_retention());
    }

    let path = function_path(&request.path)?;
    let audience = Audience::of(server, &identity);
    let call = FunctionCall::new(path, request.args, identity).with_source(source);
    let snapshot = server.snapshot_leases.get(timestamp);
    let outcome = server
        .runtime
        .query_at(timestamp, snapshot.as_deref(), call)
        .await
        .ok_or_else(out_of_retention)?;
    let response = function_response(outcome, audience)?;
    // The charge covers the result until it is encoded.
    let encoded = response.to_json(request.format);
    drop(charge);
    Ok(json(StatusCode::OK, encoded))
}

/// `POST /api/query_batch` evaluates several queries at one timestamp. Each may fail on its own.
pub(crate) async fn query_batch(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    let ApiRequest {
        server,
        identity,
        source,
        ..
    } = request;
    let body = CallBody::read(server, &request.parts.headers, request.body).await?;
    let batch = Batch::parse(body.bytes())?;
    let snapshot = server.runtime.query_snapshot().await;
    let snapshot = snapshot.map_err(|error| unavailable(&error, &source.request_id))?;

    let mut results = Vec::with_capacity(batch.queries.len());
    let mut charges = Vec::new();
    for query in batch.queries {
        let format = query.format;
        let path = function_path(&query.path)?;
        let mut call = FunctionCall::new(path, query.args, identity.clone());
        // The memory of the result is reserved for the client that sent the batch.
        call.charge = body.charge_response(0)?;
        let outcome = snapshot.query(call.with_source(source.clone())).await;
        let response = function_response(outcome, Audience::of(server, &identity))?;
        let result = response.to_json(format);
        // Twice its size, because the results are then joined to one text.
        charges.push(body.charge_response(2 * result.len())?);
        results.push(result);
    }
    let results = results.join(",");
    Ok(json(
        StatusCode::OK,
        format!(r#"{{"results":[{results}]}}"#),
    ))
}

fn out_of_retention() -> ApiError {
    let message = "the timestamp is too old, or was never given out; \
                   ask `POST /api/query_ts` for a new one and repeat all queries at that";
    ApiError {
        retry_after: Some(Duration::ZERO),
        ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "OutOfRetention", message)
    }
}

fn unavailable(error: &Error, request_id: &RequestId) -> ApiError {
    tracing::error!(%request_id, code = error.code().as_str(), %error, "failed to take a snapshot");
    ApiError::unavailable(request_id, "the server cannot respond")
}
