use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};
use lentil_runtime::Execution;
use lentil_runtime::http::Body;
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use super::request::ApiRequest;
use crate::error::ApiError;
use crate::response;
use crate::server::Server;

/// The longest time that a request waits for an execution.
const LONG_POLL_TIMEOUT: Duration = Duration::from_secs(60);

/// `GET /api/stream_function_logs?cursor=<ms>` returns the executions after the cursor, and the
/// cursor for the next request.
///
/// If there is none, the request waits for the first. A cursor of 0 requests all remembered
/// executions, without waiting.
pub(crate) async fn stream(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    let cursor = parse_cursor(request.parameter("cursor").as_deref())?;
    let server = request.server;
    let executions = if cursor == 0.0 {
        server.runtime.execution_log().all()
    } else {
        wait_for_executions(server, cursor).await
    };
    let next_cursor = match executions.last() {
        Some(last) => last.cursor_ms,
        // With another 0, the next request would not wait either.
        None if cursor == 0.0 => server.runtime.now_ms(),
        None => cursor,
    };
    let is_structured = takes_structured_lines(request.headers());
    let entries: Vec<Json> = executions
        .iter()
        .map(|execution| entry(execution, is_structured))
        .collect();
    let body = json!({ "entries": entries, "newCursor": next_cursor });
    Ok(response::json(StatusCode::OK, body.to_string()))
}

fn parse_cursor(cursor: Option<&str>) -> Result<f64, ApiError> {
    let Some(cursor) = cursor else {
        return Ok(0.0);
    };
    match cursor.parse::<f64>() {
        Ok(cursor) if cursor.is_finite() => Ok(cursor),
        _ => {
            let message = "`cursor` is not a number of milliseconds; begin with 0";
            Err(ApiError::bad_request("InvalidCursor", message))
        }
    }
}

async fn wait_for_executions(server: &Server, cursor: f64) -> Vec<Execution> {
    let executions = server.runtime.execution_log().after(cursor);
    tokio::select! {
        executions = timeout(LONG_POLL_TIMEOUT, executions) => executions.unwrap_or_default(),
        // A waiting request would delay the shutdown.
        () = server.shutdown.cancelled() => Vec::new(),
    }
}

/// Returns whether the client expects log lines as objects. Others expect plain text.
fn takes_structured_lines(headers: &HeaderMap) -> bool {
    let client = headers
        .get("convex-client")
        .and_then(|client| client.to_str().ok())
        .unwrap_or_default();
    client.starts_with("npm-cli") || client.starts_with("dashboard")
}

fn entry(execution: &Execution, is_structured: bool) -> Json {
    let log_lines: Vec<Json> = execution
        .log_lines
        .iter()
        .map(|line| match is_structured {
            true => structured_line(line, execution.ended_ms),
            false => json!(line),
        })
        .collect();
    let kind = match execution.kind {
        Some(kind) => format!("{kind:?}"),
        None => "HttpAction".to_owned(),
    };
    let duration_s = execution.duration.as_secs_f64();
    json!({
        "kind": "Completion",
        "udfType": kind,
        "identifier": &*execution.identifier,
        "componentPath": null,
        "logLines": log_lines,
        "timestamp": execution.ended_ms / 1e3,
        "cachedResult": execution.is_cached,
        "executionTime": duration_s,
        "userExecutionTime": duration_s,
        "success": null,
        "error": execution.error,
        "requestId": execution.request_id().to_string(),
        "executionId": execution.id.to_string(),
        "caller": execution.caller(),
        "parentExecutionId": execution.parent.map(|parent| parent.to_string()),
        "usageStats": {},
        "returnBytes": null,
        "occInfo": null,
        "willRetry": false,
        "executionTimestamp": execution.ended_ms / 1e3 - duration_s,
        "identityType": execution.identity,
        "environment": "isolate",
    })
}

/// Splits a line such as `[WARN] text` into its level and its text.
fn structured_line(line: &str, timestamp_ms: f64) -> Json {
    let (level, text) = line
        .strip_prefix('[')
        .and_then(|line| line.split_once("] "))
        .unwrap_or(("LOG", line));
    json!({
        "messages": [text],
        "level": level,
        "timestamp": timestamp_ms,
        "isTruncated": false,
    })
}
