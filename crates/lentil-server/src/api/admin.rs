//! Endpoints of the command line, the dashboard and the deployment API.

use http::{Response, StatusCode};
use lentil_runtime::RequestId;
use lentil_runtime::http::Body;
use lentil_system::environment::{self, EnvironmentChange, EnvironmentError};
use lentil_system::frontend;
use serde_json::{Value as Json, json};

use super::call_body::CallBody;
use super::request::ApiRequest;
use crate::error::ApiError;
use crate::response;

/// `GET /api/check_admin_key`. The route has checked the key.
pub(crate) async fn check_key(_request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    Ok(ok(&json!({
        "success": true,
        "allowedOps": ["*"],
        "isReadOnly": false,
    })))
}

/// `POST /api/update_environment_variables` reads `{"changes":[{"name","value":string|null}]}`, and
/// makes all changes or none.
pub(crate) async fn update_environment(
    request: ApiRequest<'_>,
) -> Result<Response<Body>, ApiError> {
    let ApiRequest { server, source, .. } = request;
    let body = CallBody::read(server, &request.parts.headers, request.body).await?;
    let changes = parse_changes(body.bytes()).ok_or_else(|| {
        let message = "expected {\"changes\":[{\"name\":string,\"value\":string or null}]}";
        ApiError::bad_request("BadJsonBody", message)
    })?;
    let changed = environment::change(&server.runtime, &changes).await;
    changed.map_err(|error| refused(&error, &source.request_id))?;
    Ok(ok(&Json::Null))
}

/// `GET /api/v1/list_environment_variables`.
pub(crate) async fn list_environment(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    let variables = environment::list(&request.server.runtime).await;
    let variables = variables.map_err(|error| unavailable(error, &request.source.request_id))?;
    Ok(ok(&json!({ "environmentVariables": variables })))
}

/// `GET /api/v1/deployment_info`.
pub(crate) async fn deployment_info(_request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    Ok(ok(&json!({ "kind": "selfHosted" })))
}

/// `GET /api/v1/get_canonical_urls`.
pub(crate) async fn canonical_urls(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    // The main origin serves the application's routes too.
    let origin = request.server.runtime.origin();
    Ok(ok(
        &json!({ "convexCloudUrl": origin, "convexSiteUrl": origin }),
    ))
}

/// `GET /api/shapes2` describes the documents of each table.
pub(crate) async fn shapes(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    Ok(ok(&frontend::shapes(&request.server.runtime)))
}

fn ok(body: &Json) -> Response<Body> {
    response::json(StatusCode::OK, body.to_string())
}

fn parse_changes(body: &[u8]) -> Option<Vec<EnvironmentChange>> {
    let body: Json = serde_json::from_slice(body).ok()?;
    let mut changes = Vec::new();
    for change in body.get("changes")?.as_array()? {
        let value = match change.get("value") {
            None | Some(Json::Null) => None,
            Some(value) => Some(value.as_str()?.to_owned()),
        };
        let name = change.get("name")?.as_str()?.to_owned();
        changes.push(EnvironmentChange { name, value });
    }
    Some(changes)
}

fn refused(error: &EnvironmentError, request_id: &RequestId) -> ApiError {
    let code = match error {
        EnvironmentError::Name(_) => "InvalidEnvVarName",
        EnvironmentError::BuiltIn(_) => "EnvVarNameForbidden",
        EnvironmentError::Value { .. } => "EnvVarValueTooLarge",
        EnvironmentError::TooMany => "TooManyEnvVars",
        other => return unavailable(other, request_id),
    };
    ApiError::bad_request(code, error.to_string())
}

fn unavailable(error: impl std::fmt::Display, request_id: &RequestId) -> ApiError {
    tracing::error!(%request_id, %error, "failed to read or change environment variables");
    ApiError::unavailable(
        request_id,
        "the server cannot read or store environment variables",
    )
}
