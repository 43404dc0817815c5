use http::{Method, Response, StatusCode, header};
use lentil_runtime::http::Body;

use crate::ServerOptions;

/// Answers the server's own paths; `None` leaves the request to the application.
pub(crate) fn answer(method: &Method, path: &str, options: &ServerOptions) -> Option<Response<Body>> {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    match path {
        "/version" if is_read => Some(text(StatusCode::OK, options.version.clone())),
        "/healthz" if is_read => Some(text(StatusCode::OK, "ok".to_owned())),
        _ => None,
    }
}

/// A plain answer.
pub(crate) fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let content_type = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
