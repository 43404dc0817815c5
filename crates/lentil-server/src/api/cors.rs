//! Cross-origin access to the Convex API: open to every origin, with credentials, on success and error alike. What a
//! caller may do is decided by its token.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use lentil_runtime::http::Body;

const METHODS: &str = "GET, POST, OPTIONS, PATCH, DELETE, PUT";

/// Adds what lets a browser's page read the answer.
pub(crate) fn allow(request: &HeaderMap, response: &mut HeaderMap) {
    let Some(origin) = request.get(header::ORIGIN) else {
        return;
    };
    response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    response.insert(
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        HeaderValue::from_static("true"),
    );
    response.append(header::VARY, HeaderValue::from_static("Origin"));
}

/// The answer to a browser that asks before it sends.
pub(crate) fn preflight(request: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow(request, headers);
    let mut set = |name: HeaderName, value: HeaderValue| drop(headers.insert(name, value));
    set(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(METHODS),
    );
    set(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("86400"),
    );
    if let Some(asked) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}
