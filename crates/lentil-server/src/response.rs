//! Responses of the server's own paths.

use http::{HeaderValue, Response, StatusCode, header};
use lentil_runtime::http::Body;

/// Builds a response of plain text.
pub(crate) fn text(status: StatusCode, text: String) -> Response<Body> {
    with_type(status, "text/plain; charset=utf-8", text)
}

/// Builds a response of JSON.
pub(crate) fn json(status: StatusCode, json: String) -> Response<Body> {
    with_type(status, "application/json", json)
}

fn with_type(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
