use ::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use lentil_values::{JsonForm, ReturnType};

use super::{Body, Json};

/// An HTTP action's response.
#[derive(Debug, Default)]
pub struct Response(::http::Response<Body>);

impl Response {
    /// A response without a body.
    pub fn empty(status: StatusCode) -> Response {
        let mut response = Response::default();
        *response.0.status_mut() = status;
        response
    }

    /// A value as JSON, with numbers as `JSON.stringify` writes them.
    pub fn json(status: StatusCode, value: impl ReturnType) -> Response {
        let mut text = Vec::with_capacity(256);
        value
            .into_return()
            .write_json(JsonForm::JavaScript, &mut text);
        Response::with_type(status, "application/json", text)
    }

    /// What a query has returned.
    pub fn from_json(status: StatusCode, json: Json) -> Response {
        Response::with_type(status, "application/json", json)
    }

    /// Text.
    pub fn text(status: StatusCode, text: impl Into<String>) -> Response {
        Response::with_type(status, "text/plain; charset=utf-8", text.into())
    }

    /// A body of this content type.
    pub fn with_type(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Response {
        let mut response = Response::empty(status);
        *response.0.body_mut() = Body::from(body.into());
        response.header(header::CONTENT_TYPE, HeaderValue::from_static(content_type))
    }

    /// Sets a header.
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
