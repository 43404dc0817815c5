use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use lentil_values::Value;

/// The response to an HTTP request, with its whole body.
#[derive(Clone, Debug)]
pub struct TestResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl TestResponse {
    /// Returns the body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the response's body is text")
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        Value::parse_json(&self.body).expect("the response's body is JSON")
    }
}
