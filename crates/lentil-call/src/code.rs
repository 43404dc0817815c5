use std::fmt;

/// The kinds of errors. [`Code::as_str`] is stable; messages may change.
///
/// ```
/// use lentil_call::{Code, Error};
///
/// let error = Error::application("The channel is full.");
/// assert_eq!(error.code(), Code::Application);
/// assert_eq!(error.code().as_str(), "ConvexError");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The HTTP request is wrong: 400, with the message.
    BadRequest,
    /// The HTTP request's body is over the limit: 413, with the message.
    PayloadTooLarge,
    /// The HTTP request's body came too slowly or not at all: 408, with the message.
    RequestTimeout,
    /// The arguments do not match the function's validator.
    ArgumentValidation,
    /// The result does not match the function's validator.
    ReturnsValidation,
    /// A document does not match its table's schema.
    SchemaEnforcement,
    /// Arguments, a result, a document or a value are over a size, nesting or element limit.
    ValueTooLarge,
    /// The function read or wrote more than one call may.
    LimitExceeded,
    /// The function does not exist, or is internal and the caller is a client.
    FunctionNotFound,
    /// The function was called as another kind than it is.
    WrongFunctionKind,
    /// A mutation was started inside a mutation without `ctx.run_mutation`.
    ReentrantMutation,
    /// The document to patch, replace or delete does not exist.
    NonexistentDocument,
    /// The id is malformed, or an id of another table.
    InvalidId,
    /// A document's `_creationTime` would change.
    InvalidCreationTime,
    /// The table or the index does not exist, or the range does not fit the index.
    InvalidQuery,
    /// Two documents would be equal in all fields of a unique index. The mutation, or the nested
    /// one, wrote nothing. The error's cause is the
    /// [`UniqueViolation`](lentil_store::UniqueViolation) that names them.
    UniqueIndexViolation,
    /// `unique()` found more than one document.
    NotUnique,
    /// The pagination cursor belongs to another query.
    InvalidCursor,
    /// A function was scheduled for a time more than five years away, or for none.
    InvalidSchedule,
    /// A scheduled mutation canceled itself while it ran; it wrote nothing.
    CancelsItself,
    /// The function ran longer than its time limit.
    TimedOut,
    /// The function panicked.
    Panicked,
    /// A nested call was dropped before it finished, so its transaction cannot continue.
    Abandoned,
    /// The application raised it, with data for the client.
    Application,
    /// The function failed in another way: its message is for the developer only.
    Uncaught,
    /// The server is overloaded; a later attempt can succeed: 503.
    Overloaded,
    /// The server is stopping, or lost a write that the call read; another attempt can succeed:
    /// 503.
    Unavailable,
    /// The server itself failed.
    Internal,
    /// The function read a damaged document, which the message names. Another attempt fails too.
    DamagedData,
}

impl Code {
    /// Returns the short, stable code that programs and tests compare.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::BadRequest => "BadRequest",
            Code::PayloadTooLarge => "PayloadTooLarge",
            Code::RequestTimeout => "RequestTimeout",
            Code::ArgumentValidation => "ArgumentValidationError",
            Code::ReturnsValidation => "ReturnsValidationError",
            Code::SchemaEnforcement => "SchemaEnforcementError",
            Code::ValueTooLarge => "ValueTooLargeError",
            Code::LimitExceeded => "LimitExceeded",
            Code::FunctionNotFound => "FunctionNotFound",
            Code::WrongFunctionKind => "WrongFunctionKind",
            Code::ReentrantMutation => "ReentrantMutation",
            Code::NonexistentDocument => "NonexistentDocument",
            Code::InvalidId => "InvalidIdError",
            Code::InvalidCreationTime => "InvalidCreationTimeError",
            Code::InvalidQuery => "InvalidQuery",
            Code::UniqueIndexViolation => "UniqueIndexViolation",
            Code::NotUnique => "NotUnique",
            Code::InvalidCursor => "InvalidCursor",
            Code::InvalidSchedule => "InvalidSchedule",
            Code::CancelsItself => "ScheduledFunctionCancelingItself",
            Code::TimedOut => "FunctionTimedOut",
            Code::Panicked => "FunctionPanicked",
            Code::Abandoned => "NestedCallAbandoned",
            Code::Application => "ConvexError",
            Code::Uncaught => "UncaughtError",
            Code::Overloaded => "Overloaded",
            Code::Unavailable => "Unavailable",
            Code::Internal => "InternalServerError",
            Code::DamagedData => "DamagedData",
        }
    }

    /// Returns the HTTP status of a route whose action failed with this code.
    ///
    /// Errors about the request are the client's (4xx); the others are the action's: 500.
    pub fn status(self) -> http::StatusCode {
        match self {
            Code::BadRequest => http::StatusCode::BAD_REQUEST,
            Code::PayloadTooLarge => http::StatusCode::PAYLOAD_TOO_LARGE,
            Code::RequestTimeout => http::StatusCode::REQUEST_TIMEOUT,
            Code::Overloaded | Code::Unavailable => http::StatusCode::SERVICE_UNAVAILABLE,
            _ => http::StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns whether the server is at fault and not the function.
    pub fn is_system(self) -> bool {
        self.may_pass() || self == Code::DamagedData
    }

    /// Returns whether the server is at fault and another attempt can succeed.
    pub fn may_pass(self) -> bool {
        matches!(self, Code::Overloaded | Code::Unavailable | Code::Internal)
    }

    /// Returns whether input of the wrong shape or size can cause the error.
    pub(crate) fn is_about_input(self) -> bool {
        matches!(
            self,
            Code::ArgumentValidation
                | Code::SchemaEnforcement
                | Code::ValueTooLarge
                | Code::InvalidId
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
