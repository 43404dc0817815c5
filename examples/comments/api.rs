//! The check of the key, as in `crates/http/src/api.rs`.

use lentil::{ActionCtx, Request, Response, Result, StatusCode, object};

/// The name of the key that the routes need.
pub const API_KEY: &str = "CLONK_API_KEY";

pub(crate) async fn is_authorized(ctx: &ActionCtx, request: &Request) -> Result<bool> {
    Ok(ctx.secret(API_KEY).await?.authorizes(request.headers()))
}

pub(crate) fn unauthorized() -> Response {
    let body = object! { "error": "Unauthorized" };
    Response::json(StatusCode::UNAUTHORIZED, body)
}
