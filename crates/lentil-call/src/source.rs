use std::net::IpAddr;

use http::HeaderValue;
use lentil_values::DocumentId;

use crate::request_id::RequestId;

/// The origin of a call. All calls that one request causes share it.
#[derive(Clone, Debug)]
pub struct CallSource {
    /// The id of the request that caused the call.
    pub request_id: RequestId,
    /// The kind of caller.
    pub caller: Caller,
    /// The peer's address.
    pub ip: Option<IpAddr>,
    /// The peer's `User-Agent`.
    // A clone of a `HeaderValue` shares its bytes.
    pub user_agent: Option<HeaderValue>,
    /// The scheduled function that runs and makes this call.
    pub scheduled: Option<DocumentId>,
}

/// The kind of a caller, by its name in Convex's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A request to the Convex HTTP API.
    HttpApi,
    /// A request to one of the application's routes.
    HttpEndpoint,
    /// A client over the sync WebSocket.
    SyncWorker,
    /// The scheduler, for scheduled functions and crons.
    Scheduler,
    /// The program itself: a test, or the server on its own behalf.
    Tester,
}

impl CallSource {
    /// Returns the source of a call with this request id and an unknown peer.
    pub fn new(caller: Caller, request_id: RequestId) -> CallSource {
        CallSource {
            request_id,
            caller,
            ip: None,
            user_agent: None,
            scheduled: None,
        }
    }

    /// Returns this source with the peer's address and `User-Agent`.
    #[must_use]
    pub fn with_peer(self, ip: Option<IpAddr>, user_agent: Option<HeaderValue>) -> CallSource {
        CallSource {
            ip,
            user_agent,
            ..self
        }
    }

    /// Returns this source with another caller.
    #[must_use]
    pub fn with_caller(self, caller: Caller) -> CallSource {
        CallSource { caller, ..self }
    }

    /// Returns this source with another request id.
    #[must_use]
    pub fn with_request_id(self, request_id: RequestId) -> CallSource {
        CallSource { request_id, ..self }
    }
}

impl Caller {
    /// Returns the name in Convex's log.
    pub fn as_str(self) -> &'static str {
        match self {
            Caller::HttpApi => "HttpApi",
            Caller::HttpEndpoint => "HttpEndpoint",
            Caller::SyncWorker => "SyncWorker",
            Caller::Scheduler => "Scheduler",
            Caller::Tester => "Tester",
        }
    }
}
