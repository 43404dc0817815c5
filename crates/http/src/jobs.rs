use clonk_functions::jobs::{self, GetByJobId, Upsert};
use lentil::{ActionCtx, Request, Response, Result, StatusCode, object};

use crate::api::{error, is_authorized, unauthorized};

/// `POST /api/job`: creates a job or reports its progress.
pub(crate) async fn post_job(ctx: &ActionCtx, request: Request) -> Result<Response> {
    if !is_authorized(ctx, &request).await? {
        return Ok(unauthorized());
    }
    let job: Upsert = request.args().await?;
    ctx.run_mutation(jobs::upsert, job)
        .await
        .map_err(|error| error.bad_request())?;
    Ok(Response::json(StatusCode::OK, object! { "ok": true }))
}

/// `GET /api/job?id=…`: returns the job with this id.
pub(crate) async fn get_job(ctx: &ActionCtx, request: Request) -> Result<Response> {
    if !is_authorized(ctx, &request).await? {
        return Ok(unauthorized());
    }
    let Some(job_id) = request.query("id").filter(|id| !id.is_empty()) else {
        return Ok(error(StatusCode::BAD_REQUEST, "Missing id param"));
    };
    let job = ctx
        .run_query_json(jobs::get_by_job_id, GetByJobId { job_id })
        .await?;
    if job.is_null() {
        return Ok(error(StatusCode::NOT_FOUND, "Job not found"));
    }
    Ok(Response::from_json(StatusCode::OK, job))
}
