//! The application's HTTP routes: what `convex/http.ts` is to Convex.

mod jobs;
mod page;
mod publish;

use lentil::{ActionCtx, HttpRouter, Method, Object, Request, Response, Result, StatusCode};

/// The name of the key that the factory server presents.
pub const API_KEY: &str = "CLONK_API_KEY";

/// All routes.
pub fn router() -> HttpRouter {
    let router = HttpRouter::new()
        .route(Method::POST, "/api/job", jobs::post_job)
        .route(Method::GET, "/api/job", jobs::get_job)
        .route(Method::POST, "/api/publish", publish::post_publish);
    page::routes(router)
}

/// Whether the request carries the key; asked before its body is read.
async fn is_authorized(ctx: &ActionCtx, request: &Request) -> Result<bool> {
    Ok(ctx.secret(API_KEY).await?.authorizes(request.headers()))
}

fn unauthorized() -> Response {
    error(StatusCode::UNAUTHORIZED, "Unauthorized")
}

fn error(status: StatusCode, sentence: impl Into<String>) -> Response {
    Response::json(status, Object::from([("error", sentence.into())]))
}
