//! HTTP actions: requests, responses and the routes between them, in the `http` crate's types and without a socket.

mod body;
mod error_response;
mod fetch;
mod json;
mod request;
mod response;
mod router;
mod secret;

pub use ::http::{HeaderMap, Method, Request as HttpRequest, StatusCode, header};
pub use body::Body;
pub use error_response::RETRY_AFTER;
pub use json::Json;
pub use lentil_call::BodyError;
pub use request::Request;
pub use response::Response;
pub use router::{HttpRouter, RouterError};
pub use secret::Secret;
