use lentil_values::Value;

/// The limit of a message. The messages of the JSON parser quote names of any length.
const MAX_MESSAGE_BYTES: usize = 1_000;

/// An error in a client's message: a stable code for programs, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProtocolError {
    /// The code, such as `BadJsonBody`.
    pub code: &'static str,
    /// The sentence: what is wrong, and what to send instead.
    pub message: String,
}

impl ProtocolError {
    /// Returns an error. It truncates the message to 1,000 bytes, because it may quote the client's
    /// text.
    pub fn new(code: &'static str, message: impl Into<String>) -> ProtocolError {
        let mut message = message.into();
        if message.len() > MAX_MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
            message.push('…');
        }
        ProtocolError { code, message }
    }
}

/// The failure of a function, as it is sent to the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The text, which begins with `[Request ID: …] Server Error`.
    pub message: String,
    /// The data of an application error. A client raises `ConvexError` if there is data, even if it
    /// is null.
    pub data: Option<Value>,
}
