//! The check of the key, as in `crates/http/src/api.rs`.

use lentil::{ActionCtx, Object, Request, Response, Result, StatusCode};

/// The name of the key that the routes need.
pub const API_KEY: &str = "CLONK_API_KEY";

pub(crate) async fn is_authorized(ctx: &ActionCtx, request: &Request) -> Result<bool> {
    Ok(ctx.secret(API_KEY).await?.authorizes(request.headers()))
}

pub(crate) fn unauthorized() -> Response {
    let body = Object::from([("error", "Unauthorized")]);
    Response::json(StatusCode::UNAUTHORIZED, body)
}
