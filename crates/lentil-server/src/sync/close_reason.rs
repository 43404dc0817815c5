use std::borrow::Cow;

use bytes::Bytes;
use lentil_protocol::ProtocolError;
use lentil_protocol::sync::ServerMessage;

/// The most bytes of the reason in a close frame.
const MAX_REASON_BYTES: usize = 123;

/// Close codes of RFC 6455 and its registry.
const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
pub(super) const MESSAGE_TOO_BIG: u16 = 1009;
const INTERNAL_ERROR: u16 = 1011;
const SERVICE_RESTART: u16 = 1012;
const TRY_AGAIN_LATER: u16 = 1013;

/// The reason why a sync connection ends.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CloseReason {
    /// The client hung up, or the socket failed.
    Disconnected,
    /// The client closed the connection.
    ByClient,
    /// A last message explains the reason. The close frame has no code.
    Explained(ServerMessage),
    /// The client sent something invalid, and must not send it again unchanged.
    Fatal { error: String, code: Option<u16> },
    /// A close code and a reason.
    Coded(u16, Cow<'static, str>),
}

/// The server's last frames on a connection.
pub(super) struct Farewell {
    pub(super) message: Option<String>,
    /// The payload of the close frame.
    pub(super) close_frame: Bytes,
}

impl CloseReason {
    /// The client broke the protocol, and must not reconnect unchanged.
    pub(super) fn fatal(error: impl Into<String>) -> CloseReason {
        CloseReason::Fatal {
            error: error.into(),
            code: None,
        }
    }

    /// The server is overloaded. The client may reconnect later.
    pub(super) fn busy(code: &'static str) -> CloseReason {
        CloseReason::Coded(TRY_AGAIN_LATER, Cow::Borrowed(code))
    }

    /// The client would exceed its memory limit. Official clients treat this prefix as overload,
    /// and wait longer before they reconnect.
    pub(super) fn over_budget() -> CloseReason {
        CloseReason::busy("TooManyConcurrentRequests: this client holds too much memory")
    }

    /// The server is short of memory, and this client holds the most.
    pub(super) fn evicted() -> CloseReason {
        CloseReason::busy("TooManyConcurrentRequests: the server is short of memory")
    }

    /// The server is shutting down. The client may reconnect immediately.
    pub(super) fn restarting() -> CloseReason {
        CloseReason::Coded(SERVICE_RESTART, Cow::Borrowed("ServerIsStopping"))
    }

    /// The server failed. The client may reconnect.
    pub(super) fn internal(reason: &'static str) -> CloseReason {
        CloseReason::Coded(INTERNAL_ERROR, Cow::Borrowed(reason))
    }

    /// The client sent no `Connect` in time.
    pub(super) fn not_connected() -> CloseReason {
        let reason = "ConnectTimeout: send `Connect` first";
        CloseReason::Coded(PROTOCOL_ERROR, Cow::Borrowed(reason))
    }

    /// The client has sent nothing for too long.
    pub(super) fn inactive() -> CloseReason {
        CloseReason::Coded(NORMAL, Cow::Borrowed("InactiveClient"))
    }

    /// Returns the server's last frames, or `None` if the client is disconnected.
    pub(super) fn farewell(&self) -> Option<Farewell> {
        let farewell = match self {
            CloseReason::Disconnected => return None,
            CloseReason::ByClient => Farewell {
                message: None,
                close_frame: Bytes::new(),
            },
            CloseReason::Explained(message) => Farewell {
                message: Some(message.to_json()),
                close_frame: Bytes::new(),
            },
            CloseReason::Fatal { error, code } => {
                let message = ServerMessage::FatalError {
                    error: error.clone(),
                };
                Farewell {
                    message: Some(message.to_json()),
                    close_frame: code
                        .map(|code| close_frame(code, error))
                        .unwrap_or_default(),
                }
            }
            CloseReason::Coded(code, reason) => Farewell {
                message: None,
                close_frame: close_frame(*code, reason),
            },
        };
        Some(farewell)
    }
}

/// Encodes the payload of a close frame.
fn close_frame(code: u16, reason: &str) -> Bytes {
    // A control frame carries at most 125 bytes, and the code takes two of them.
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)];
    Bytes::from([&code.to_be_bytes(), reason.as_bytes()].concat())
}

impl From<ProtocolError> for CloseReason {
    fn from(error: ProtocolError) -> CloseReason {
        let prefix = match error.code {
            "WSMessageInvalidJson" => "Received Invalid JSON on websocket: ",
            _ => "",
        };
        CloseReason::fatal(format!("{prefix}{}", error.message))
    }
}
