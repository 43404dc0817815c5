use http::{Response, StatusCode};
use lentil_protocol::ProtocolError;
use lentil_runtime::http::Body;
use lentil_runtime::{EnvironmentChange, EnvironmentError};
use serde_json::Value as Json;

use super::{ApiError, json};
use crate::service::Server;

/// `GET /api/check_admin_key` with a good one.
pub(super) fn key_is_good() -> Response<Body> {
    json(
        StatusCode::OK,
        r#"{"success":true,"allowedOps":["*"],"isReadOnly":false}"#.to_owned(),
    )
}

/// `POST /api/update_environment_variables`: `{"changes":[{"name","value":string|null}]}`, all or none.
pub(super) async fn update_environment(
    server: &Server,
    body: &[u8],
) -> Result<Response<Body>, ApiError> {
    let changes = read_changes(body).ok_or_else(|| {
        let message = "expected {\"changes\":[{\"name\":string,\"value\":string or null}]}";
        ProtocolError::new("BadJsonBody", message)
    })?;
    match server.runtime.change_environment(&changes).await {
        Ok(()) => Ok(json(StatusCode::OK, "null".to_owned())),
        Err(error) => Err(refused(&error)),
    }
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

fn refused(error: &EnvironmentError) -> ApiError {
    let code = match error {
        EnvironmentError::Name(_) => "InvalidEnvVarName",
        EnvironmentError::Value { .. } => "EnvVarValueTooLarge",
        EnvironmentError::TooMany => "TooManyEnvVars",
        other => {
            tracing::error!("environment variables could not be changed: {other}");
            let message = "the server cannot store it now; try again later";
            return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", message);
        }
    };
    ApiError::new(StatusCode::BAD_REQUEST, code, error.to_string())
}
