use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};
use lentil_runtime::Execution;
use lentil_runtime::http::Body;
use serde_json::{Value as Json, json};

use super::ApiError;
use crate::service::Server;

/// How long a question waits for news.
const PATIENCE: Duration = Duration::from_secs(60);

/// `GET /api/stream_function_logs?cursor=<ms>`: the executions after the cursor, and the cursor for the next question.
///
/// Without any it waits for the first, a minute at most. A cursor of 0 asks for what was, which is answered at once.
pub(super) async fn stream(
    server: &Server,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let cursor = pairs
        .find(|(name, _)| name == "cursor")
        .map_or(Ok(0.0), |(_, cursor)| cursor.parse::<f64>());
    let cursor = cursor
        .ok()
        .filter(|cursor| cursor.is_finite())
        .ok_or_else(|| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "InvalidCursor",
                "`cursor` is no number of milliseconds; begin with 0",
            )
        })?;
    let found = if cursor == 0.0 {
        server.runtime.executions()
    } else {
        tokio::select! {
            found = tokio::time::timeout(PATIENCE, server.runtime.executions_after(cursor)) => found.unwrap_or_default(),
            () = server.shutdown.cancelled() => Vec::new(),
        }
    };
    let unchanged = if cursor == 0.0 {
        server.runtime.now_ms()
    } else {
        cursor
    };
    let is_structured = headers
        .get("convex-client")
        .and_then(|client| client.to_str().ok())
        .is_some_and(|client| {
            ["npm-cli", "dashboard"]
                .iter()
                .any(|name| client.starts_with(name))
        });
    let entries: Vec<Json> = found
        .iter()
        .map(|execution| entry(execution, is_structured))
        .collect();
    let cursor = found.last().map_or(unchanged, |last| last.cursor_ms);
    Ok(super::json(
        StatusCode::OK,
        json!({ "entries": entries, "newCursor": cursor }).to_string(),
    ))
}

fn entry(execution: &Execution, is_structured: bool) -> Json {
    let line = |line: &String| {
        if !is_structured {
            return json!(line);
        }
        let (level, text) = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("] "))
            .unwrap_or(("LOG", line));
        json!({ "messages": [text], "level": level, "timestamp": execution.ended_ms, "isTruncated": false })
    };
    let log_lines: Vec<Json> = execution.log_lines.iter().map(line).collect();
    let duration = execution.duration.as_secs_f64();
    json!({
        "kind": "Completion",
        "udfType": execution.kind.map_or_else(|| "HttpAction".to_owned(), |kind| format!("{kind:?}")),
        "identifier": &*execution.identifier,
        "componentPath": null,
        "logLines": log_lines,
        "timestamp": execution.ended_ms / 1e3,
        "cachedResult": execution.is_cached,
        "executionTime": duration,
        "userExecutionTime": duration,
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
        "executionTimestamp": execution.ended_ms / 1e3 - duration,
        "identityType": execution.identity,
        "environment": "isolate",
    })
}
