use lentil_values::Value;

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
    /// An error of this code.
    pub fn new(code: &'static str, message: impl Into<String>) -> ProtocolError {
        ProtocolError {
            code,
            message: message.into(),
        }
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
