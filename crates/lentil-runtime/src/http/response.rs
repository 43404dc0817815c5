use ::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use lentil_values::{JsonForm, ReturnType};

use super::body::Body;
use super::json::Json;

const APPLICATION_JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The response of an HTTP action.
///
/// ```
/// use lentil::{Object, Response, StatusCode};
///
/// let created = Response::json(StatusCode::CREATED, Object::from([("id", "j57")]));
/// let page = Response::with_type(StatusCode::OK, "text/html; charset=utf-8", "<h1>Jobs</h1>");
/// let gone = Response::empty(StatusCode::NO_CONTENT);
/// ```
#[derive(Debug, Default)]
pub struct Response(::http::Response<Body>);

impl Response {
    /// Returns a response without a body.
    pub fn empty(status: StatusCode) -> Response {
        let mut response = Response::default();
        *response.0.status_mut() = status;
        response
    }

    /// Returns a value as JSON, with numbers as `JSON.stringify` writes them.
    pub fn json(status: StatusCode, value: impl ReturnType) -> Response {
        let mut text = Vec::with_capacity(256);
        value
            .into_return()
            .write_json(JsonForm::JavaScript, &mut text);
        Response::of(status, APPLICATION_JSON, text)
    }

    /// Returns the result of [`ActionCtx::run_query_json`](crate::ActionCtx::run_query_json).
    pub fn from_json(status: StatusCode, json: Json) -> Response {
        Response::of(status, APPLICATION_JSON, json)
    }

    /// Returns a text.
    pub fn text(status: StatusCode, text: impl Into<String>) -> Response {
        Response::of(status, TEXT_PLAIN, text.into())
    }

    /// Returns a body of a content type. A text that cannot be a header becomes
    /// `application/octet-stream`.
    pub fn with_type(
        status: StatusCode,
        content_type: impl AsRef<str>,
        body: impl Into<Bytes>,
    ) -> Response {
        let content_type = HeaderValue::from_str(content_type.as_ref());
        Response::of(status, content_type.unwrap_or(OCTET_STREAM), body)
    }

    fn of(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response {
        let mut response = Response::empty(status);
        *response.0.body_mut() = Body::from(body.into());
        response.header(header::CONTENT_TYPE, content_type)
    }

    /// Sets a header. It replaces headers of the same name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Response {
        self.0.headers_mut().insert(name, value);
        self
    }
}

impl From<::http::Response<Body>> for Response {
    fn from(response: ::http::Response<Body>) -> Response {
        Response(response)
    }
}

impl From<Response> for ::http::Response<Body> {
    fn from(response: Response) -> ::http::Response<Body> {
        response.0
    }
}
