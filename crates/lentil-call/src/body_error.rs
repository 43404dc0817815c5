use crate::Code;

/// A charge would put a client over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this connection would hold more than {limit} bytes of the server's memory")]
pub struct OverBudget {
    /// The limit in bytes.
    pub limit: usize,
}

/// Why the rest of a body does not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It is longer than the server takes: send less.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body would put its sender over its memory limit: send less at a time.
    #[error("the body cannot be held: {0}")]
    OverBudget(#[from] OverBudget),
    /// It came too slowly: send it again, faster.
    #[error("the body came too slowly")]
    TooSlow,
    /// The server shut down before the body was complete: send the request again.
    #[error("the server is shutting down; send the request again")]
    ShuttingDown,
    /// It was malformed, or its sender hung up.
    #[error("the body is incomplete: {0}")]
    Incomplete(String),
}

impl BodyError {
    /// Returns the code of the error that `?` makes of this one.
    pub fn code(&self) -> Code {
        match self {
            BodyError::TooLarge { .. } | BodyError::OverBudget(_) => Code::PayloadTooLarge,
            BodyError::TooSlow => Code::RequestTimeout,
            BodyError::ShuttingDown => Code::Unavailable,
            BodyError::Incomplete(_) => Code::BadRequest,
        }
    }
}
