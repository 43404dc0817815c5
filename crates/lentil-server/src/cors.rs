//! Cross-origin access to the server's own paths. Every origin is allowed, with credentials, on
//! success and error: the caller's token decides what it may do.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use lentil_runtime::http::Body;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS, PATCH, DELETE, PUT");
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Lets a page of `origin` read the response.
pub(crate) fn allow(origin: Option<HeaderValue>, response: &mut HeaderMap) {
    let Some(origin) = origin else {
        return;
    };
    response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response.insert(
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        HeaderValue::from_static("true"),
    );
    response.append(header::VARY, HeaderValue::from_static("Origin"));
}

/// Builds the response to a browser's preflight request.
pub(crate) fn preflight(request: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow(request.get(header::ORIGIN).cloned(), headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    if let Some(requested) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, requested.clone());
    }
    response
}
