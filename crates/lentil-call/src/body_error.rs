use crate::code::Code;

/// The error of a client that would hold more memory than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this connection would hold more than {limit} bytes of the server's memory")]
pub struct OverBudget {
    /// The limit in bytes.
    pub limit: usize,
}

/// An error of reading a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is larger than the server accepts: send less.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body would put its sender over its memory limit: send less at a time.
    #[error("the body does not fit into memory: {0}")]
    OverBudget(#[from] OverBudget),
    /// The body arrived too slowly: send it again, faster.
    #[error("the body arrived too slowly")]
    TooSlow,
    /// The server shut down before the body was complete: send the request again.
    #[error("the server is shutting down; send the request again")]
    ShuttingDown,
    /// The body was malformed, or its sender closed the connection.
    #[error("the body is incomplete: {0}")]
    Incomplete(String),
}

impl BodyError {
    /// Returns the code of the [`Error`](crate::Error) into which `?` turns this one.
    pub fn code(&self) -> Code {
        match self {
            BodyError::TooLarge { .. } | BodyError::OverBudget(_) => Code::PayloadTooLarge,
            BodyError::TooSlow => Code::RequestTimeout,
            BodyError::ShuttingDown => Code::Unavailable,
            BodyError::Incomplete(_) => Code::BadRequest,
        }
    }
}
