// [route]
use clonk_functions::comments::{self, Add};
use lentil::{ActionCtx, Request, Response, Result, StatusCode, object};

use crate::api::{is_authorized, unauthorized};

/// `POST /api/comment`: adds a comment, and returns its id.
pub(crate) async fn post_comment(ctx: &ActionCtx, request: Request) -> Result<Response> {
    if !is_authorized(ctx, &request).await? {
        return Ok(unauthorized());
    }
    let comment: Add = request.args().await?;
    let id = ctx
        .run_mutation(comments::add, comment)
        .await
        .map_err(|error| error.bad_request())?;
    Ok(Response::json(StatusCode::OK, object! { "id": id }))
}
// [end]
