use std::borrow::Cow;

use lentil_protocol::ProtocolError;
use lentil_protocol::sync::ServerMessage;

/// Why a connection ends, as the client is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Closing {
    /// The client has hung up.
    Gone,
    /// A last message, and a close frame without a code.
    Said(ServerMessage),
    /// A close frame: 1011, 1012 and 1013 bring the client back, later.
    Coded(u16, Cow<'static, str>),
}

impl Closing {
    /// The client has broken the protocol and must not come back as it is.
    pub(super) fn fatal(error: impl Into<String>) -> Closing {
        Closing::Said(ServerMessage::FatalError {
            error: error.into(),
        })
    }

    /// There is too much to do: the client may come back later.
    pub(super) fn busy(code: &'static str) -> Closing {
        Closing::Coded(1013, Cow::Borrowed(code))
    }

    /// The server is stopping: the client may come back at once.
    pub(super) fn restarting() -> Closing {
        Closing::Coded(1012, Cow::Borrowed("ServerIsStopping"))
    }

    /// Something went wrong that coming back may mend.
    pub(super) fn internal(reason: &'static str) -> Closing {
        Closing::Coded(1011, Cow::Borrowed(reason))
    }

    /// The client says nothing any more.
    pub(super) fn silent() -> Closing {
        Closing::Coded(1000, Cow::Borrowed("InactiveClient"))
    }
}

impl From<ProtocolError> for Closing {
    fn from(error: ProtocolError) -> Closing {
        let before = if error.code == "WSMessageInvalidJson" {
            "Received Invalid JSON on websocket: "
        } else {
            ""
        };
        Closing::fatal(format!("{before}{}", error.message))
    }
}
