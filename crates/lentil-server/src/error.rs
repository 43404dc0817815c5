use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use lentil_protocol::ProtocolError;
use lentil_runtime::http::{Body, BodyError, RETRY_AFTER};
use lentil_runtime::{Code, Error, RequestId};

use crate::response::json;

/// An error of the server's own paths, as opposed to a function's error. The response's body is
/// `{"code": …, "message": …}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The time after which the client may try again.
    pub(crate) retry_after: Option<Duration>,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
    ) -> ApiError {
        ApiError {
            status,
            code,
            message: message.into(),
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER),
        }
    }

    /// Returns the error of an invalid request.
    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Returns the error of a client that exceeds a limit, and may retry after a time.
    pub(crate) fn too_many(
        code: &'static str,
        message: impl Into<String>,
        retry_after: Duration,
    ) -> ApiError {
        ApiError {
            retry_after: Some(retry_after),
            ..ApiError::new(StatusCode::TOO_MANY_REQUESTS, code, message)
        }
    }

    /// Returns the error of a client that has too many connections.
    pub(crate) fn too_many_connections() -> ApiError {
        let message = "too many connections are open from this address; close some";
        ApiError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            ..ApiError::too_many("TooManyConnections", message, Duration::from_secs(1))
        }
    }

    /// Returns the error of a request that the server cannot serve now. `problem` is the beginning
    /// of a sentence, such as "the server cannot respond". The caller logs the cause.
    pub(crate) fn unavailable(request_id: &RequestId, problem: &str) -> ApiError {
        let message = format!("[Request ID: {request_id}] {problem} now; try again later");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", message)
    }

    /// Returns the error of a request at which the server failed. The caller logs the cause.
    pub(crate) fn internal(request_id: &RequestId) -> ApiError {
        let message = format!(
            "[Request ID: {request_id}] the request could not be completed; try again later"
        );
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerError",
            message,
        )
    }

    /// Converts a call's error if the server is at fault. Returns `None` if the function is. The
    /// runtime logs the cause.
    pub(crate) fn of_system(error: &Error, request_id: &RequestId) -> Option<ApiError> {
        if !error.code().is_system() {
            return None;
        }
        Some(match error.code() {
            Code::Internal => ApiError::internal(request_id),
            // A retry would read the same damaged data.
            Code::DamagedData => ApiError {
                message: format!("[Request ID: {request_id}] the request could not be completed"),
                ..ApiError::internal(request_id)
            },
            code => ApiError {
                code: code.as_str(),
                ..ApiError::unavailable(request_id, "the server cannot respond")
            },
        })
    }

    /// Returns the body of the response.
    pub(crate) fn to_json(&self) -> String {
        serde_json::json!({ "code": self.code, "message": self.message }).to_string()
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = json(self.status, self.to_json());
        if let Some(after) = self.retry_after {
            // Rounded up, so that the client does not try again too early.
            let seconds = after.as_secs_f64().ceil() as u64;
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<ProtocolError> for ApiError {
    fn from(error: ProtocolError) -> ApiError {
        ApiError::bad_request(error.code, error.message)
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> ApiError {
        let (status, code) = match error {
            BodyError::TooLarge { .. } | BodyError::OverBudget(_) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge")
            }
            BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"),
            BodyError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "Unavailable"),
            _ => (StatusCode::BAD_REQUEST, "BadJsonBody"),
        };
        ApiError::new(status, code, error.to_string())
    }
}
