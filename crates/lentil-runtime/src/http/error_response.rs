use std::time::Duration;

use ::http::{HeaderValue, StatusCode, header};
use lentil_call::{Error, RequestId};
use lentil_values::{FieldName, JsonForm, Object, Value};

use super::response::Response;

/// The time after which a client that received a 503 may try again, for `Retry-After`.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Returns the response to a request whose action failed: `{"error": …}`.
///
/// The client receives the message of an error that its request caused. For any other error it
/// receives a 500 or a 503 with the request's id, and the log has the message under that id. With
/// `dev`, the client receives the message too.
pub(crate) fn error_response(error: &Error, request_id: &RequestId, dev: bool) -> Response {
    let status = error.code().status();
    let sentence = match status {
        StatusCode::SERVICE_UNAVAILABLE => {
            format!("[Request ID: {request_id}] the server cannot respond now; try again later")
        }
        status if status.is_server_error() => format!("[Request ID: {request_id}] Server Error"),
        _ => error.message().to_owned(),
    };
    let shown = if dev && status.is_server_error() {
        format!("{sentence}: {error}")
    } else {
        sentence
    };
    let mut body = Object::new();
    body.insert(FieldName::from_static("error"), Value::from(shown));
    if let Some(data) = error.data() {
        body.insert(FieldName::from_static("data"), data.clone());
    }
    let json = body.to_json(JsonForm::JavaScript);
    let response = Response::with_type(status, "application/json", json);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return response.header(
            header::RETRY_AFTER,
            HeaderValue::from(RETRY_AFTER.as_secs()),
        );
    }
    response
}
