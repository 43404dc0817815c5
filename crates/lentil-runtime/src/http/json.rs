use bytes::Bytes;

/// The result of a query as JSON, for the body of a [`Response`](super::Response).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(Bytes);

impl Json {
    pub(crate) fn new(text: Bytes) -> Json {
        Json(text)
    }

    /// Returns whether the query returned null.
    pub fn is_null(&self) -> bool {
        *self.0 == *b"null"
    }

    /// Returns the JSON text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Json> for Bytes {
    fn from(json: Json) -> Bytes {
        json.0
    }
}
