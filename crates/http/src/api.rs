//! The check of the key and the error responses, for all routes of the API.

use lentil::{ActionCtx, Request, Response, Result, StatusCode, object};

/// The name of the key that the factory server presents.
pub const API_KEY: &str = "CLONK_API_KEY";

/// Returns whether the request carries the key. Routes check it before they read the body.
pub(crate) async fn is_authorized(ctx: &ActionCtx, request: &Request) -> Result<bool> {
    Ok(ctx.secret(API_KEY).await?.authorizes(request.headers()))
}

pub(crate) fn unauthorized() -> Response {
    error(StatusCode::UNAUTHORIZED, "Unauthorized")
}

pub(crate) fn error(status: StatusCode, message: impl Into<String>) -> Response {
    Response::json(status, object! { "error": message.into() })
}
