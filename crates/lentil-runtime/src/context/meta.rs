use std::net::IpAddr;
use std::sync::Arc;

use lentil_schema::Id;

use crate::{CallSource, ScheduledFunction};

/// Information about the request behind a call, `ctx.meta`.
///
/// Mutations, actions and routes have it. Queries do not: a result that depends on the request cannot be shared.
#[derive(Clone)]
pub struct Meta {
    source: Arc<CallSource>,
}

/// The request that caused a call, as [`Meta::request`] returns it. All functions that the call calls see the same.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RequestMetadata {
    /// The client's address; `None` unless a request came over the network.
    pub ip: Option<IpAddr>,
    /// The client's `User-Agent` header, if it is text.
    pub user_agent: Option<String>,
    /// The request's id in the log and in the response to a failure.
    pub request_id: String,
    /// The scheduled function that runs, or that has called this function, if one has.
    pub scheduled_function_id: Option<Id<ScheduledFunction>>,
}

impl Meta {
    pub(crate) fn new(source: Arc<CallSource>) -> Meta {
        Meta { source }
    }

    /// The request that caused this call.
    pub fn request(&self) -> RequestMetadata {
        let source = &*self.source;
        let user_agent = source.user_agent.as_ref();
        RequestMetadata {
            ip: source.ip,
            user_agent: user_agent.and_then(|text| text.to_str().ok().map(str::to_owned)),
            request_id: source.request_id.to_string(),
            scheduled_function_id: source.scheduled.map(Id::new),
        }
    }
}
