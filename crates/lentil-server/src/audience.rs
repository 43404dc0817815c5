use lentil_protocol::Failure;
use lentil_runtime::{Code, Error, Identity, RequestId};

use crate::server::Server;

/// The part of a function's errors and log lines that a client may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// A developer or the administrator: messages and log lines.
    Insider,
    /// Any other client: that the function failed, and the data of an application error.
    Public,
}

impl Audience {
    /// Returns the audience of a caller.
    pub(crate) fn of(server: &Server, identity: &Identity) -> Audience {
        if server.runtime.is_dev() || identity.is_admin() {
            Audience::Insider
        } else {
            Audience::Public
        }
    }

    /// Converts a function's error to the failure that the client receives.
    ///
    /// Every client receives the message of a rejected call (unknown function, invalid arguments):
    /// it reveals only the call itself.
    pub(crate) fn failure(self, error: &Error, request_id: &RequestId) -> Failure {
        // The text that Convex's production deployments send.
        let mut message = format!("[Request ID: {request_id}] Server Error");
        if self == Audience::Insider || error.is_rejected_call() {
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

    /// Returns the log lines that the client may see.
    pub(crate) fn log_lines(self, lines: &[String]) -> Vec<String> {
        match self {
            Audience::Insider => lines.to_vec(),
            Audience::Public => Vec::new(),
        }
    }
}
