//! Calls of one function.

use http::{Response, StatusCode};
use lentil_protocol::FunctionResponse;
use lentil_runtime::http::Body;
use lentil_runtime::{
    CallSource, Excerpt, FunctionCall, FunctionKind, FunctionOutcome, FunctionPath, Identity,
};

use super::call_body::{CallBody, ParsedCall};
use super::request::ApiRequest;
use crate::audience::Audience;
use crate::error::ApiError;
use crate::response::json;
use crate::server::Server;

/// `POST /api/query`.
pub(crate) async fn query(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    call_of_kind(request, Some(FunctionKind::Query)).await
}

/// `POST /api/mutation`.
pub(crate) async fn mutation(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    call_of_kind(request, Some(FunctionKind::Mutation)).await
}

/// `POST /api/action`.
pub(crate) async fn action(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    call_of_kind(request, Some(FunctionKind::Action)).await
}

/// `POST /api/function` calls a function of any kind.
pub(crate) async fn any(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    call_of_kind(request, None).await
}

/// `POST /api/run/<module>/<function>` calls a function of any kind, named by the path.
pub(crate) async fn run(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    let path = request.rest().to_owned();
    let server = request.server;
    let body = CallBody::read(server, &request.parts.headers, request.body).await?;
    let path = function_of_run(&path)?;
    let mut parsed = body.parse()?;
    parsed.request.path = path;
    call(server, request.identity, parsed, None, request.source).await
}

async fn call_of_kind(
    request: ApiRequest<'_>,
    kind: Option<FunctionKind>,
) -> Result<Response<Body>, ApiError> {
    let server = request.server;
    let body = CallBody::read(server, &request.parts.headers, request.body).await?;
    let parsed = body.parse()?;
    call(server, request.identity, parsed, kind, request.source).await
}

/// Calls a function. Without a `kind` it may be of any kind.
async fn call(
    server: &Server,
    identity: Identity,
    parsed: ParsedCall,
    kind: Option<FunctionKind>,
    source: CallSource,
) -> Result<Response<Body>, ApiError> {
    let ParsedCall { request, charge } = parsed;
    let path = function_path(&request.path)?;
    let audience = Audience::of(server, &identity);
    let call = FunctionCall {
        charge,
        ..FunctionCall::new(path, request.args, identity).with_source(source)
    };
    let outcome = server.runtime.call(call, kind).await;
    let response = function_response(outcome, audience)?;
    Ok(json(StatusCode::OK, response.to_json(request.format)))
}

/// Converts the outcome of a call to the response that its audience may see.
///
/// # Errors
/// The failure of the server, if it is at fault and not the function.
pub(super) fn function_response(
    outcome: FunctionOutcome,
    audience: Audience,
) -> Result<FunctionResponse, ApiError> {
    let request_id = &outcome.request_id;
    let result = match outcome.result {
        Ok(value) => Ok(value),
        Err(error) => match ApiError::of_system(&error, request_id) {
            Some(error) => return Err(error),
            None => Err(audience.failure(&error, request_id)),
        },
    };
    Ok(FunctionResponse {
        result,
        log_lines: audience.log_lines(&outcome.log_lines),
    })
}

/// Parses the path of a function.
pub(super) fn function_path(path: &str) -> Result<FunctionPath, ApiError> {
    FunctionPath::parse(path)
        .map_err(|error| ApiError::bad_request("BadConvexFunctionIdentifier", error.to_string()))
}

/// Converts the end of a path to the function that it names: `messages/list` to `messages:list`.
fn function_of_run(path: &str) -> Result<String, ApiError> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    if let Some((module, function)) = decoded.rsplit_once('/')
        && !module.is_empty()
        && !function.is_empty()
    {
        return Ok(format!("{module}:{function}"));
    }
    let message = format!(
        "{} does not name a function; write /api/run/<module>/<function>",
        Excerpt(&decoded)
    );
    Err(ApiError::bad_request("MissingIdentifier", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_run_names_a_function() {
        for (path, function) in [
            ("messages/list", "messages:list"),
            ("admin/jobs/purge%41+", "admin/jobs:purgeA+"),
        ] {
            assert_eq!(function_of_run(path).unwrap(), function);
        }
        for path in ["", "list", "/list", "list/"] {
            let error = function_of_run(path).unwrap_err();
            assert_eq!(error.code, "MissingIdentifier", "{path}");
        }
    }
}
