//! The endpoints of the command line, the dashboard and the deployment API, for the administrator alone.

use http::{Method, Request, Response, StatusCode};
use lentil_protocol::ProtocolError;
use lentil_runtime::http::Body;
use lentil_runtime::{EnvironmentChange, EnvironmentError, RequestId};
use serde_json::Value as Json;

use super::functions::read_body;
use super::{ApiError, json};
use crate::body::FromClient;
use crate::service::Server;

/// An endpoint that answers the administrator alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdminEndpoint {
    CheckKey,
    UpdateEnvironment,
    ListEnvironment,
    DeploymentInfo,
    CanonicalUrls,
    Shapes,
}

impl AdminEndpoint {
    /// The endpoint of a path below `/api/`.
    pub(super) fn of(path: &str) -> Option<AdminEndpoint> {
        Some(match path {
            "check_admin_key" => AdminEndpoint::CheckKey,
            "update_environment_variables" | "v1/update_environment_variables" => {
                AdminEndpoint::UpdateEnvironment
            }
            "v1/list_environment_variables" => AdminEndpoint::ListEnvironment,
            "v1/deployment_info" => AdminEndpoint::DeploymentInfo,
            "v1/get_canonical_urls" => AdminEndpoint::CanonicalUrls,
            "shapes2" => AdminEndpoint::Shapes,
            _ => return None,
        })
    }

    pub(super) fn takes(self, method: &Method) -> bool {
        match self {
            AdminEndpoint::UpdateEnvironment => *method == Method::POST,
            _ => *method == Method::GET,
        }
    }
}

/// Answers the administrator.
pub(super) async fn answer(
    server: &Server,
    endpoint: AdminEndpoint,
    request: Request<FromClient>,
    request_id: &RequestId,
) -> Result<Response<Body>, ApiError> {
    let answer = match endpoint {
        AdminEndpoint::CheckKey => {
            serde_json::json!({ "success": true, "allowedOps": ["*"], "isReadOnly": false })
        }
        AdminEndpoint::UpdateEnvironment => {
            let body = read_body(server, request).await?;
            update_environment(server, body.bytes(), request_id).await?;
            Json::Null
        }
        AdminEndpoint::ListEnvironment => {
            let variables = server.runtime.environment_variables().await;
            let variables = variables.map_err(|error| unavailable(error, request_id))?;
            serde_json::json!({ "environmentVariables": variables })
        }
        AdminEndpoint::DeploymentInfo => serde_json::json!({ "kind": "selfHosted" }),
        AdminEndpoint::CanonicalUrls => {
            // The application's routes are served on the main origin too.
            let origin = server.runtime.origin();
            serde_json::json!({ "convexCloudUrl": origin, "convexSiteUrl": origin })
        }
        AdminEndpoint::Shapes => server.runtime.shapes(),
    };
    Ok(json(StatusCode::OK, answer.to_string()))
}

/// Reads `{"changes":[{"name","value":string|null}]}`, and makes all of the changes or none.
async fn update_environment(
    server: &Server,
    body: &[u8],
    request_id: &RequestId,
) -> Result<(), ApiError> {
    let changes = read_changes(body).ok_or_else(|| {
        let message = "expected {\"changes\":[{\"name\":string,\"value\":string or null}]}";
        ProtocolError::new("BadJsonBody", message)
    })?;
    let changed = server.runtime.change_environment(&changes).await;
    changed.map_err(|error| refused(&error, request_id))
}

fn read_changes(body: &[u8]) -> Option<Vec<EnvironmentChange>> {
    let body: Json = serde_json::from_slice(body).ok()?;
    let change = |change: &Json| {
        let value = match change.get("value") {
            None | Some(Json::Null) => None,
            Some(value) => Some(value.as_str()?.to_owned()),
        };
        Some(EnvironmentChange {
            name: change.get("name")?.as_str()?.to_owned(),
            value,
        })
    };
    body.get("changes")?
        .as_array()?
        .iter()
        .map(change)
        .collect()
}

fn refused(error: &EnvironmentError, request_id: &RequestId) -> ApiError {
    let code = match error {
        EnvironmentError::Name(_) => "InvalidEnvVarName",
        EnvironmentError::BuiltIn(_) => "EnvVarNameForbidden",
        EnvironmentError::Value { .. } => "EnvVarValueTooLarge",
        EnvironmentError::TooMany => "TooManyEnvVars",
        other => return unavailable(other, request_id),
    };
    ApiError::new(StatusCode::BAD_REQUEST, code, error.to_string())
}

fn unavailable(error: impl std::fmt::Display, request_id: &RequestId) -> ApiError {
    tracing::error!(%request_id, %error, "environment variables cannot be read or changed");
    ApiError::unavailable(
        request_id,
        "the server cannot read or store environment variables",
    )
}
