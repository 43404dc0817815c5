use http::Response;
use lentil_runtime::http::Body;

use super::request::ApiRequest;
use crate::error::ApiError;
use crate::sync;

/// `GET /api/sync` and `GET /api/<version>/sync` upgrade the connection to the sync WebSocket.
pub(crate) async fn upgrade(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    sync::accept(
        request.server,
        &request.parts,
        request.client,
        request.source,
        request.slot,
    )
}
