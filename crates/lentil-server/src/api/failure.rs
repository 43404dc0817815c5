use lentil_protocol::Failure;
use lentil_runtime::{Code, Error, Identity, RequestId};

use crate::service::Server;

/// What a client may see of how functions work inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// A developer, or the administrator: messages and log lines.
    Insider,
    /// Anyone else: that it failed, and the data of an application error.
    Public,
}

impl Audience {
    pub(crate) fn of(server: &Server, identity: &Identity) -> Audience {
        if server.runtime.is_dev() || identity.is_admin() {
            Audience::Insider
        } else {
            Audience::Public
        }
    }
}

/// A function's error as its client is told.
///
/// That a call is refused, be it for a name or for arguments, is said to everyone: it tells of the call alone.
pub(crate) fn failure(error: &Error, request_id: &RequestId, audience: Audience) -> Failure {
    let mut message = format!("[Request ID: {request_id}] Server Error");
    if audience == Audience::Insider || error.is_rejected_call() {
        let prefix = match error.code() {
            Code::Uncaught => "Uncaught Error: ",
            Code::Application => "Uncaught ConvexError: ",
            Code::ArgumentValidation => "ArgumentValidationError: ",
            Code::ReturnsValidation => "ReturnsValidationError: ",
            _ => "",
        };
        message = format!("{message}\n{prefix}{}\n", error.message());
    }
    Failure {
        message,
        data: error.data().cloned(),
    }
}

/// The log lines a client may see.
pub(crate) fn shown_lines(lines: &[String], audience: Audience) -> Vec<String> {
    if audience == Audience::Insider {
        lines.to_vec()
    } else {
        Vec::new()
    }
}
