use std::net::IpAddr;
use std::sync::Arc;

use lentil_call::CallSource;
use lentil_schema::Id;

use crate::scheduled_calls::ScheduledFunction;

/// The request that caused a call, `ctx.meta`.
///
/// Mutations and actions have it. Queries do not, because their results are shared between
/// requests.
///
/// ```
/// use lentil::{MutationCtx, Result};
///
/// async fn sign_up(ctx: &mut MutationCtx, (): ()) -> Result<()> {
///     let request = ctx.meta.request();
///     ctx.log.info(format!("signed up from {:?}", request.ip));
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Meta {
    source: Arc<CallSource>,
}

/// The request that caused a call, as [`Meta::request`] returns it. Nested calls have the same.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RequestMetadata {
    /// The client's address; `None` without a request over the network.
    pub ip: Option<IpAddr>,
    /// The client's `User-Agent` header, if it is text.
    pub user_agent: Option<String>,
    /// The request's id, in the log and in the response to a failed request.
    pub request_id: String,
    /// The scheduled function that is running, if one is.
    pub scheduled_function_id: Option<Id<ScheduledFunction>>,
}

impl Meta {
    pub(crate) fn new(source: Arc<CallSource>) -> Meta {
        Meta { source }
    }

    /// Returns the request that caused this call.
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
