use std::any::Any;
use std::fmt;
use std::sync::Arc;

use lentil_store::{CommitError, DamagedDocument, StoreError, UniqueViolation};
use lentil_values::Value;

use crate::BodyError;

/// What a function returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a function, or something a function asked for, failed.
///
/// Any `std::error::Error` becomes one by `?`, so that a handler reads like plain Rust. It deliberately is no
/// `std::error::Error` itself: it is the end of the line, shown to a client or caught by a calling function.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: Code,
    message: String,
    data: Option<Value>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    is_rejected_call: bool,
}

/// Of a message; the rest is cut off, as in Convex. An application may put a client's arguments into one, and the list
/// of executions, failed scheduled calls and live queries keep it.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

impl Error {
    /// An error of this code, with a sentence for people, which is cut after 64 KiB.
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        let mut message = message.into();
        if message.len() > MAX_MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
            message.push('…');
        }
        Error(Box::new(Inner {
            code,
            message,
            data: None,
            source: None,
            is_rejected_call: false,
        }))
    }

    /// An error that reaches the client with its data, as `new ConvexError(data)` does.
    pub fn application(data: impl Into<Value>) -> Error {
        let data = data.into();
        Error::with_data(Code::Application, data.to_string(), data)
    }

    /// Returns an error that carries data for the client.
    pub fn with_data(code: Code, message: impl Into<String>, data: impl Into<Value>) -> Error {
        let mut error = Error::new(code, message);
        error.0.data = Some(data.into());
        error
    }

    /// An error whose message is for the developer alone, as `throw new Error(message)` is.
    pub fn msg(message: impl Into<String>) -> Error {
        Error::new(Code::Uncaught, message)
    }

    /// What went wrong, for programs and tests.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What went wrong, for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The data of an application error.
    pub fn data(&self) -> Option<&Value> {
        self.0.data.as_ref()
    }

    /// The error underneath, for the log, and for who can do something about it.
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }

    /// Returns whether the call itself was refused (no such function, arguments that do not fit), before any function
    /// ran: its caller may learn the reason.
    pub fn is_rejected_call(&self) -> bool {
        self.0.is_rejected_call
    }

    /// Marks the error as a refusal of the call itself; see [`Error::is_rejected_call`].
    pub fn into_rejected_call(mut self) -> Error {
        self.0.is_rejected_call = true;
        self
    }

    /// The error of a call that a function has made: what it says is the function's, and no more its caller's.
    pub fn into_callee_error(mut self) -> Error {
        self.0.is_rejected_call = false;
        self
    }

    /// Turns an error that input can cause into the request's fault: a value of the wrong shape or over a size limit,
    /// or an id of another table.
    ///
    /// An HTTP action that passes its request's data on to a function says with this that such an error is the
    /// client's: it becomes [`Code::BadRequest`] and is answered 400 with its sentence. Others stay what they are.
    #[must_use]
    pub fn bad_request(mut self) -> Error {
        if self.0.code.is_about_input() {
            self.0.code = Code::BadRequest;
        }
        self
    }

    /// Puts a sentence's beginning before the message.
    pub fn in_context(mut self, context: impl fmt::Display) -> Error {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// An error of this code, with what is underneath it for the log.
    pub fn caused_by(
        code: Code,
        message: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        let mut error = Error::new(code, message);
        error.0.source = Some(Arc::new(source));
        error
    }

    /// Returns the damaged document that a read of the store failed at.
    pub fn damaged_document(&self) -> Option<&DamagedDocument> {
        match self.0.source.as_deref()?.downcast_ref()? {
            StoreError::DamagedDocument(damaged) => Some(damaged),
            _ => None,
        }
    }

    /// Returns the error of a mutation that violates a unique index.
    pub fn unique_violation(source: UniqueViolation) -> Error {
        Error::caused_by(Code::UniqueIndexViolation, source.to_string(), source)
    }

    /// Returns an error of the server itself.
    pub fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Error {
        let mut error = Error::new(Code::Internal, source.to_string());
        error.0.source = Some(Arc::new(source));
        error
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(source: E) -> Error {
        let body = (&source as &dyn Any).downcast_ref::<BodyError>();
        let mut error = Error::new(
            body.map_or(Code::Uncaught, BodyError::code),
            source.to_string(),
        );
        error.0.source = Some(Arc::new(source));
        error
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("code", &self.0.code)
            .field("message", &self.0.message)
            .finish()
    }
}

/// The kinds of errors. [`Code::as_str`] is stable; messages may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The HTTP request makes no sense: 400, with the sentence.
    BadRequest,
    /// The HTTP request's body is over the limit: 413, with the sentence.
    PayloadTooLarge,
    /// The HTTP request's body came too slowly or not at all: 408, with the sentence.
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
    /// There is no such function, or it is not one the caller may know of.
    FunctionNotFound,
    /// The function is of another kind than it was called as.
    WrongFunctionKind,
    /// A mutation was started from inside a mutation without its context.
    ReentrantMutation,
    /// The document to patch, replace or delete is not there.
    NonexistentDocument,
    /// The id is not one of the expected table, or no id at all.
    InvalidId,
    /// A document's `_creationTime` would change.
    InvalidCreationTime,
    /// The table or index does not exist, or a range is put to an index that does not have it.
    InvalidQuery,
    /// Two documents would be equal in all fields of a unique index; nothing of the mutation, or of the nested one,
    /// was written. [`Error::cause`] is the [`UniqueViolation`] that names them.
    UniqueIndexViolation,
    /// `unique()` found more than one document.
    NotUnique,
    /// The pagination cursor is not one of this query.
    InvalidCursor,
    /// A function was scheduled for a time that makes no sense.
    InvalidSchedule,
    /// A scheduled mutation canceled itself while it ran; it wrote nothing.
    CancelsItself,
    /// The function ran longer than its time limit.
    TimedOut,
    /// The function panicked.
    Panicked,
    /// A nested call was dropped before it finished, so its transaction cannot go on.
    Abandoned,
    /// The application raised it, with data for the client.
    Application,
    /// The function failed otherwise.
    Uncaught,
    /// The server has too much to do; trying again later can help: 503.
    Overloaded,
    /// The server is stopping, or lost what the call built on; trying again can help: 503.
    Unavailable,
    /// The server itself failed.
    Internal,
    /// The function reads a damaged document; the message names it. A retry does not help.
    DamagedData,
}

impl Code {
    /// The short code that programs and tests compare.
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

    /// The HTTP status of an application route whose handler failed with this code.
    ///
    /// Only what is said of the request itself is the client's fault; the rest is the handler's: 500.
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

    /// Returns whether the server is at fault in a way that may pass: trying again can help.
    pub fn may_pass(self) -> bool {
        matches!(self, Code::Overloaded | Code::Unavailable | Code::Internal)
    }

    fn is_about_input(self) -> bool {
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

/// The error a function sees when its store fails; internals stay in the source, for the log.
pub fn store_error(error: StoreError) -> Error {
    let (code, message) = match &error {
        StoreError::Busy { .. } => (
            Code::Overloaded,
            "too many mutations are waiting; try again later",
        ),
        StoreError::SnapshotExpired => (
            Code::TimedOut,
            "the function read from a snapshot that has grown too old",
        ),
        StoreError::Conflict => (
            Code::Overloaded,
            "documents this mutation read kept changing; try again later",
        ),
        StoreError::Lost { .. } => (
            Code::Unavailable,
            "the write could not be made durable; try again later",
        ),
        StoreError::Closed => (Code::Unavailable, "the server is stopping; try again later"),
        StoreError::DamagedDocument(_) | StoreError::Corrupt(_) => {
            return Error::caused_by(Code::DamagedData, error.to_string(), error);
        }
        _ => return Error::internal(error),
    };
    let mut shown = Error::new(code, message);
    shown.0.source = Some(Arc::new(error));
    shown
}

/// Returns the error that a function sees when its commit fails.
pub fn commit_error(error: CommitError) -> Error {
    match error {
        CommitError::Conflict => store_error(StoreError::Conflict),
        CommitError::Lost { reason } => store_error(StoreError::Lost { reason }),
        CommitError::Unknown { .. } => {
            let message = "the connection to the database was lost while committing; the write may have happened";
            let mut shown = Error::new(Code::Unavailable, message);
            shown.0.source = Some(Arc::new(error));
            shown
        }
        CommitError::Store(error) => store_error(error),
        other => Error::internal(other),
    }
}
