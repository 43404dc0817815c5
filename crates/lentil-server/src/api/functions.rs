use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use lentil_protocol::{FunctionRequest, FunctionResponse};
use lentil_runtime::http::{Body, BodyError};
use lentil_runtime::memory::{Account, Charge};
use lentil_runtime::{
    CallSource, Excerpt, FunctionCall, FunctionKind, FunctionPath, Identity, json_parse_size,
};

use super::{ApiError, Audience, failure, json, shown_lines};
use crate::body::{FromClient, from_client};
use crate::service::Server;

/// What a body may have beside 16 MiB of arguments.
const ENVELOPE_BYTES: usize = 2_000;

/// Copies of its arguments that a running call holds: the values, the text in the cache's key, a result of their size
/// and its copy.
const COPIES_OF_ARGS: usize = 4;

/// The JSON body of a call, charged for its text and its values.
pub(super) struct CallBody {
    bytes: Bytes,
    account: Account,
    charge: Charge,
}

impl CallBody {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The call, charged to the client until it ends.
    pub(super) fn parse(self) -> Result<(FunctionRequest, Charge), ApiError> {
        let request = FunctionRequest::parse(&self.bytes)?;
        let mut charge = self.charge;
        charge.set(COPIES_OF_ARGS * request.args.heap_size());
        Ok((request, charge))
    }

    /// Refuses a response that would put the client over its limit.
    pub(super) fn charge_response(&self, bytes: usize) -> Result<Charge, ApiError> {
        Ok(self
            .account
            .try_charge(bytes)
            .map_err(BodyError::OverBudget)?)
    }
}

/// Reads the JSON body of a call.
pub(super) async fn read_body(
    server: &Server,
    request: Request<FromClient>,
) -> Result<CallBody, ApiError> {
    let (parts, incoming) = request.into_parts();
    if !is_json(&parts.headers) {
        let message = "send the body as JSON, with the header `Content-Type: application/json`";
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "BadJsonBody",
            message,
        ));
    }
    let limit = server.runtime.limits().argument_bytes + ENVELOPE_BYTES;
    let account = incoming.account.clone();
    let bytes = from_client(incoming, &server.progress, limit)
        .bytes()
        .await?;
    // A short text may take much memory as values: charge for it before it is parsed.
    let charge = account.try_charge(json_parse_size(&bytes));
    Ok(CallBody {
        charge: charge.map_err(BodyError::OverBudget)?,
        bytes,
        account,
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json"
        || essence.starts_with("application/") && essence.ends_with("+json")
}

/// `messages/list` of `/api/run/messages/list` is `messages:list`.
pub(super) fn run_path(path: &str) -> Result<String, ApiError> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    match decoded.rsplit_once('/') {
        Some((module, function)) if !module.is_empty() && !function.is_empty() => {
            Ok(format!("{module}:{function}"))
        }
        _ => {
            let message = format!(
                "{} does not name a function; write /api/run/<module>/<function>",
                Excerpt(&decoded)
            );
            Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "MissingIdentifier",
                message,
            ))
        }
    }
}

/// Reads a function's path.
pub(crate) fn function_path(path: &str) -> Result<FunctionPath, ApiError> {
    FunctionPath::parse(path).map_err(|error| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "BadConvexFunctionIdentifier",
            error.to_string(),
        )
    })
}

/// Calls a function, of the given kind or of whichever it is.
pub(super) async fn call(
    server: &Server,
    identity: Identity,
    (request, charge): (FunctionRequest, Charge),
    kind: Option<FunctionKind>,
    source: CallSource,
) -> Result<Response<Body>, ApiError> {
    let path = function_path(&request.path)?;
    let audience = Audience::of(server, &identity);
    let call = FunctionCall {
        charge,
        ..FunctionCall::new(path, request.args, identity).with_source(source)
    };
    let outcome = server.runtime.call(call, kind).await;
    let request_id = &outcome.request_id;
    let result = match outcome.result {
        Ok(value) => Ok(value),
        Err(error) => match ApiError::of_system(&error, request_id) {
            Some(error) => return Err(error),
            None => Err(failure(&error, request_id, audience)),
        },
    };
    let log_lines = shown_lines(&outcome.log_lines, audience);
    Ok(json(
        StatusCode::OK,
        FunctionResponse { result, log_lines }.to_json(request.format),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_run_names_a_function() {
        assert_eq!(run_path("messages/list").unwrap(), "messages:list");
        assert_eq!(
            run_path("admin/jobs/purge%41+").unwrap(),
            "admin/jobs:purgeA+"
        );
        for path in ["", "list", "/list", "list/"] {
            assert_eq!(
                run_path(path).unwrap_err().code,
                "MissingIdentifier",
                "{path}"
            );
        }
    }
}
