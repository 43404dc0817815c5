use bytes::Bytes;
use http::{HeaderMap, header};
use lentil_protocol::FunctionRequest;
use lentil_runtime::http::BodyError;
use lentil_runtime::json_parse_size;
use lentil_runtime::memory::{Account, Charge};

use crate::error::ApiError;
use crate::request_body::RequestBody;
use crate::server::Server;

/// The most bytes of a body beside its 16 MiB of arguments.
const ENVELOPE_BYTES: usize = 2_000;

/// The number of copies of its arguments that a call holds: the values, the text in the cache's
/// key, a result of their size, and its copy.
const COPIES_OF_ARGS: usize = 4;

/// The JSON body of a call. The client is charged for its text and its values.
pub(super) struct CallBody {
    bytes: Bytes,
    account: Account,
    charge: Charge,
}

/// A call, and its charge to the client until it ends.
pub(super) struct ParsedCall {
    pub(super) request: FunctionRequest,
    pub(super) charge: Charge,
}

impl CallBody {
    /// Reads the JSON body of a request.
    pub(super) async fn read(
        server: &Server,
        headers: &HeaderMap,
        body: RequestBody,
    ) -> Result<CallBody, ApiError> {
        if !is_json(headers) {
            let message = "send the body as JSON, with the header `Content-Type: application/json`";
            return Err(ApiError::bad_request("BadJsonBody", message));
        }
        let limit = server.runtime.limits().argument_bytes + ENVELOPE_BYTES;
        let account = body.account.clone();
        let bytes = body.into_body(&server.progress, limit).bytes().await?;
        // A short text may take much memory as values, so it is charged before it is parsed.
        let charge = account
            .try_charge(json_parse_size(&bytes))
            .map_err(BodyError::OverBudget)?;
        Ok(CallBody {
            bytes,
            account,
            charge,
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Parses the call.
    pub(super) fn parse(self) -> Result<ParsedCall, ApiError> {
        let request = FunctionRequest::parse(&self.bytes)?;
        let mut charge = self.charge;
        charge.set(COPIES_OF_ARGS * request.args.heap_size());
        Ok(ParsedCall { request, charge })
    }

    /// Charges a response, or refuses it if it would put the client over its limit.
    pub(super) fn charge_response(&self, bytes: usize) -> Result<Charge, ApiError> {
        let charge = self.account.try_charge(bytes);
        Ok(charge.map_err(BodyError::OverBudget)?)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = match content_type.split_once(';') {
        Some((essence, _)) => essence,
        None => content_type,
    };
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json"
        || essence.starts_with("application/") && essence.ends_with("+json")
}
