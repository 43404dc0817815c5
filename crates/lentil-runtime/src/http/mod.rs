//! Requests and responses of HTTP actions, in the `http` crate's types and without a socket.

mod body;
mod byte_range;
mod error_response;
mod json;
mod request;
mod response;
mod secret;

pub use ::http::{HeaderMap, Method, Request as HttpRequest, StatusCode, header};
pub use body::Body;
pub(crate) use byte_range::{Selection, select};
pub use error_response::RETRY_AFTER;
pub(crate) use error_response::error_response;
pub use json::Json;
pub use lentil_call::BodyError;
pub use request::Request;
pub use response::Response;
pub use secret::Secret;
