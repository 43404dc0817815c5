//! Endpoints about the server itself.

use http::{Response, StatusCode};
use lentil_protocol::sync::ClientEvent;
use lentil_runtime::http::Body;

use super::request::ApiRequest;
use crate::error::ApiError;
use crate::response::text;

/// The largest body of an echo: the most that `npx convex network-test` sends, except to measure
/// the speed.
const MAX_ECHO_BYTES: usize = 4 << 20;

/// `GET /`, unless the application has a route for it.
pub(crate) async fn root(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    let name = &request.server.options.instance_name;
    Ok(text(StatusCode::OK, format!("{name} is running.")))
}

/// `GET /version` and `GET /instance_version`.
pub(crate) async fn version(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    Ok(text(StatusCode::OK, request.server.options.version.clone()))
}

/// `GET /instance_name`.
pub(crate) async fn name(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    let name = request.server.options.instance_name.clone();
    Ok(text(StatusCode::OK, name))
}

/// `GET /healthz`.
pub(crate) async fn health(_request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    Ok(text(StatusCode::OK, "ok".to_owned()))
}

/// `POST /echo` responds with the request's body.
pub(crate) async fn echo(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    let progress = &request.server.progress;
    let body = request.body.into_body(progress, MAX_ECHO_BYTES);
    Ok(Response::new(Body::from(body.bytes().await?)))
}

/// `POST /api/debug_event`.
pub(crate) async fn debug_event(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    // Clients send no other event here, so the body adds nothing.
    let events = &request.server.client_events;
    events.record(ClientEvent::LongDisconnect);
    Ok(text(StatusCode::OK, String::new()))
}
