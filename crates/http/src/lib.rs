//! The application's HTTP routes: what `convex/http.ts` is to Convex.

use clonk_functions::jobs::{self, GetByJobId, Upsert};
use lentil::{ActionCtx, HttpRouter, Method, Object, Request, Response, Result, StatusCode};

/// The name of the key that the factory server presents.
pub const API_KEY: &str = "CLONK_API_KEY";

/// All routes.
pub fn router() -> HttpRouter {
    HttpRouter::new().route(Method::POST, "/api/job", post_job).route(Method::GET, "/api/job", get_job)
}

/// `POST /api/job`: creates a job or reports its progress.
async fn post_job(ctx: &ActionCtx, request: Request) -> Result<Response> {
    if !is_authorized(ctx, &request).await? {
        return Ok(unauthorized());
    }
    let job: Upsert = request.args().await?;
    ctx.run_mutation(jobs::upsert, job).await.map_err(|error| error.blame_request())?;
    Ok(Response::json(StatusCode::OK, Object::from([("ok", true)])))
}

/// `GET /api/job?id=…`: the job with this id.
async fn get_job(ctx: &ActionCtx, request: Request) -> Result<Response> {
    if !is_authorized(ctx, &request).await? {
        return Ok(unauthorized());
    }
    let Some(job_id) = request.query("id").filter(|id| !id.is_empty()) else {
        return Ok(error(StatusCode::BAD_REQUEST, "Missing id param"));
    };
    match ctx.run_query(jobs::get_by_job_id, GetByJobId { job_id }).await? {
        Some(job) => Ok(Response::json(StatusCode::OK, job)),
        None => Ok(error(StatusCode::NOT_FOUND, "Job not found")),
    }
}

/// Whether the request carries the key; asked before its body is read.
async fn is_authorized(ctx: &ActionCtx, request: &Request) -> Result<bool> {
    Ok(ctx.secret(API_KEY).await?.authorizes(request.headers()))
}

fn unauthorized() -> Response {
    error(StatusCode::UNAUTHORIZED, "Unauthorized")
}

fn error(status: StatusCode, sentence: &str) -> Response {
    Response::json(status, Object::from([("error", sentence)]))
}
