use http::{HeaderMap, HeaderName};
use lentil_runtime::{RequestId, Runtime};

const HEADER: HeaderName = HeaderName::from_static("convex-request-id");

/// The id of a request: the client's own if it gave a plain one, otherwise a new one.
pub(crate) fn of_request(headers: &HeaderMap, runtime: &Runtime) -> RequestId {
    let given = headers.get(HEADER).and_then(|id| id.to_str().ok());
    given
        .and_then(RequestId::given)
        .unwrap_or_else(|| runtime.new_request_id())
}
