use std::borrow::Cow;

use bytes::Bytes;
use lentil_protocol::ProtocolError;
use lentil_protocol::sync::ServerMessage;

/// Bytes of the reason in a close frame.
const MAX_REASON_BYTES: usize = 123;

/// Why a connection ends, as the client is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CloseReason {
    /// The client has hung up.
    Gone,
    /// The client has closed the connection.
    ByClient,
    /// A last message, and a close frame without a code.
    Said(ServerMessage),
    /// The client has sent something invalid, and must not retry it unchanged.
    Fatal { error: String, code: Option<u16> },
    /// A close frame: 1011, 1012 and 1013 bring the client back, later.
    Coded(u16, Cow<'static, str>),
}

impl CloseReason {
    /// The client has broken the protocol and must not come back as it is.
    pub(super) fn fatal(error: impl Into<String>) -> CloseReason {
        CloseReason::Fatal {
            error: error.into(),
            code: None,
        }
    }

    /// There is too much to do: the client may come back later.
    pub(super) fn busy(code: &'static str) -> CloseReason {
        CloseReason::Coded(1013, Cow::Borrowed(code))
    }

    /// The server would hold more for the client than one client may have. Official clients treat this prefix as
    /// overload, and wait longer before they reconnect.
    pub(super) fn over_budget() -> CloseReason {
        CloseReason::busy("TooManyConcurrentRequests: this client holds too much memory")
    }

    /// All clients together hold too much, and this one the most.
    pub(super) fn evicted() -> CloseReason {
        CloseReason::busy("TooManyConcurrentRequests: the server is short of memory")
    }

    /// The last message, if there is one, and the payload of the close frame; nothing for a client that is gone.
    pub(super) fn last_words(&self) -> Option<(Option<String>, Bytes)> {
        let coded = |code: u16, reason: &str| {
            let reason = &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)];
            Bytes::from([&code.to_be_bytes(), reason.as_bytes()].concat())
        };
        Some(match self {
            CloseReason::Gone => return None,
            CloseReason::ByClient => (None, Bytes::new()),
            CloseReason::Said(message) => (Some(message.to_json()), Bytes::new()),
            CloseReason::Fatal { error, code } => {
                let message = ServerMessage::FatalError {
                    error: error.clone(),
                };
                let frame = code.map(|code| coded(code, error)).unwrap_or_default();
                (Some(message.to_json()), frame)
            }
            CloseReason::Coded(code, reason) => (None, coded(*code, reason)),
        })
    }

    /// The server is stopping: the client may come back at once.
    pub(super) fn restarting() -> CloseReason {
        CloseReason::Coded(1012, Cow::Borrowed("ServerIsStopping"))
    }

    /// Something went wrong that coming back may mend.
    pub(super) fn internal(reason: &'static str) -> CloseReason {
        CloseReason::Coded(1011, Cow::Borrowed(reason))
    }

    /// The client has sent no `Connect`.
    pub(super) fn not_connected() -> CloseReason {
        CloseReason::Coded(1002, Cow::Borrowed("ConnectTimeout: send `Connect` first"))
    }

    /// The client says nothing any more.
    pub(super) fn silent() -> CloseReason {
        CloseReason::Coded(1000, Cow::Borrowed("InactiveClient"))
    }
}

impl From<ProtocolError> for CloseReason {
    fn from(error: ProtocolError) -> CloseReason {
        let before = if error.code == "WSMessageInvalidJson" {
            "Received Invalid JSON on websocket: "
        } else {
            ""
        };
        CloseReason::fatal(format!("{before}{}", error.message))
    }
}
