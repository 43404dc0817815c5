use lentil_values::Value;

/// The JSON parser's own messages quote names of any length.
const MAX_MESSAGE_BYTES: usize = 1_000;

/// What a client has sent makes no sense: the stable code that programs compare, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProtocolError {
    /// Such as `BadJsonBody`.
    pub code: &'static str,
    /// What is wrong, and what instead.
    pub message: String,
}

impl ProtocolError {
    /// Returns an error of this code. A message longer than 1,000 bytes is cut: it may quote what the client sent.
    pub fn new(code: &'static str, message: impl Into<String>) -> ProtocolError {
        let mut message = message.into();
        if message.len() > MAX_MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
            message.push('…');
        }
        ProtocolError { code, message }
    }
}

/// Why a function failed, as its client is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// A text that begins `[Request ID: …] Server Error`.
    pub message: String,
    /// The data of an application error; that it is there, be it null, makes a client raise `ConvexError`.
    pub data: Option<Value>,
}
