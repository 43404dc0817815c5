use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use lentil_store::{CommitError, DamagedDocument, StoreError, UniqueViolation};
use lentil_values::Value;

use crate::body_error::BodyError;
use crate::code::Code;

/// The result of a function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a function, or a call that it made, failed.
///
/// `?` turns any `std::error::Error` into one, and `.into()` a text. So does
/// [`or_error`](crate::OrError::or_error) for an `Option`, and [`bail!`](crate::bail!) and
/// [`ensure!`](crate::ensure!) return one:
///
/// ```
/// use lentil_call::{Code, Error, OrError, Result, bail, ensure};
///
/// fn seats(input: Option<&str>, taken: usize) -> Result<usize> {
///     let seats: usize = input.or_error("the number of seats is missing")?.parse()?;
///     ensure!(seats > taken, "only {taken} seats are left");
///     if seats > 100 {
///         bail!(Error::application("There are a hundred seats."));
///     }
///     Ok(seats - taken)
/// }
///
/// assert_eq!(seats(Some("7"), 2)?, 5);
/// assert_eq!(seats(None, 0).unwrap_err().code(), Code::Uncaught);
/// assert_eq!(seats(Some("700"), 0).unwrap_err().code(), Code::Application);
/// # Ok::<(), Error>(())
/// ```
///
/// Clients receive the data of an [application error](Error::application). In production they
/// receive no other error of a function: its message is in the log.
///
/// It does not implement `std::error::Error`: no caller wraps it in another error.
#[derive(Clone)]
// Boxed: every function returns a `Result`, which is then as small as its value.
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: Code,
    message: String,
    data: Option<Value>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    is_rejected_call: bool,
}

/// The longest message; the rest is cut off, as in Convex.
///
/// An application may quote a client's arguments in a message. The list of executions, failed
/// scheduled functions and live queries keep messages in memory.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

impl Error {
    /// Returns an error with this code and a message for people, which is cut after 64 KiB.
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

    /// Returns an error whose message is for the developer only, like `throw new Error(message)`.
    pub fn msg(message: impl Into<String>) -> Error {
        Error::new(Code::Uncaught, message)
    }

    /// Returns an error that reaches the client with its data, like `throw new ConvexError(data)`.
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

    /// Returns an error that was caused by another one, which appears in the log only.
    pub fn caused_by(
        code: Code,
        message: impl Into<String>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Error {
        let mut error = Error::new(code, message);
        error.0.source = Some(Arc::new(source));
        error
    }

    /// Returns the error of a mutation that violates a unique index.
    pub fn unique_violation(source: UniqueViolation) -> Error {
        Error::caused_by(Code::UniqueIndexViolation, source.to_string(), source)
    }

    /// Returns the error of a function whose nested call was dropped before it finished. The nested
    /// call had the function's transaction.
    pub fn abandoned() -> Error {
        let message = "a nested call was dropped before it finished, or ran beside another one; \
                       await each nested call before the next. Nothing was written";
        Error::new(Code::Abandoned, message)
    }

    /// Returns an error of the server itself.
    pub fn internal(source: impl StdError + Send + Sync + 'static) -> Error {
        Error::caused_by(Code::Internal, source.to_string(), source)
    }

    /// Returns the code, for programs and tests.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns the message, for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the data of an application error.
    pub fn data(&self) -> Option<&Value> {
        self.0.data.as_ref()
    }

    /// Returns the error that caused this one.
    pub fn cause(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }

    /// Returns the damaged document that a read of the store failed at.
    pub fn damaged_document(&self) -> Option<&DamagedDocument> {
        match self.0.source.as_deref()?.downcast_ref()? {
            StoreError::DamagedDocument(damaged) => Some(damaged),
            _ => None,
        }
    }

    /// Returns whether the call was rejected before a function ran, because there is no such
    /// function or the arguments do not match. The caller may see why.
    pub fn is_rejected_call(&self) -> bool {
        self.0.is_rejected_call
    }

    /// Marks the error as the rejection of a call; see [`Error::is_rejected_call`].
    #[must_use]
    pub fn into_rejected_call(mut self) -> Error {
        self.0.is_rejected_call = true;
        self
    }

    /// Turns the error of a nested call into an error of the function that made the call.
    #[must_use]
    pub fn into_callee_error(mut self) -> Error {
        self.0.is_rejected_call = false;
        self
    }

    /// Turns an error that input can cause into a [`Code::BadRequest`]: a value of the wrong shape
    /// or over a size limit, or an id of another table. Other errors stay as they are.
    ///
    /// An HTTP action calls it when it passes data of its request to a function. The client
    /// receives the status 400 and the message.
    #[must_use]
    pub fn bad_request(mut self) -> Error {
        if self.0.code.is_about_input() {
            self.0.code = Code::BadRequest;
        }
        self
    }

    /// Puts `context` and a colon before the message.
    #[must_use]
    pub fn in_context(mut self, context: impl fmt::Display) -> Error {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }
}

/// The types that `?` and `.into()` turn into an [`Error`]: a `std::error::Error` or a text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot become a `lentil::Error`",
    label = "neither an error nor a text",
    note = "every `std::error::Error` and every text becomes one; write `Error::application(…)` for data that clients receive"
)]
pub trait IntoError {
    /// Returns the error.
    fn into_error(self) -> Error;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Box<dyn StdError + Send + Sync>>> IntoError for E {
    fn into_error(self) -> Error {
        let source: Box<dyn StdError + Send + Sync> = self.into();
        // A route that reads its body with `?` fails with the status that the body's error means.
        let code = match source.downcast_ref::<BodyError>() {
            Some(body_error) => body_error.code(),
            None => Code::Uncaught,
        };
        let mut error = Error::new(code, source.to_string());
        error.0.source = Some(source.into());
        error
    }
}

// Compiles only while `Error` itself is not a `std::error::Error`: it would otherwise overlap
// `From<T> for T`.
impl<E: IntoError> From<E> for Error {
    fn from(source: E) -> Error {
        source.into_error()
    }
}

/// Adds [`or_error`](OrError::or_error) to `Option`.
pub trait OrError<T> {
    /// Returns the value, or `error` if there is none: `user.or_error("nobody is signed in")?`.
    ///
    /// # Errors
    /// `error`: a text, a `std::error::Error` or an [`Error`].
    fn or_error(self, error: impl Into<Error>) -> Result<T>;
}

impl<T> OrError<T> for Option<T> {
    fn or_error(self, error: impl Into<Error>) -> Result<T> {
        self.ok_or_else(|| error.into())
    }
}

/// Returns an error from the function: `bail!("no seat {seat}")`, or `bail!(error)` for any error.
#[macro_export]
macro_rules! bail {
    // A literal is a format string. Any other expression is an error.
    ($text:literal $($arguments:tt)*) => {
        return ::std::result::Result::Err($crate::Error::msg(
            ::std::format!($text $($arguments)*),
        ))
    };
    ($error:expr $(,)?) => {
        return ::std::result::Result::Err($crate::Error::from($error))
    };
}

/// Returns an error from the function unless a condition holds; see [`bail!`].
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($error:tt)+) => {
        if !$condition {
            $crate::bail!($($error)+);
        }
    };
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

/// Returns the error that a function sees when its store fails. Only the log shows the cause.
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
        // Unlike the errors above, these do not go away, and their message names the damage.
        StoreError::DamagedDocument(_) | StoreError::Corrupt(_) => {
            return Error::caused_by(Code::DamagedData, error.to_string(), error);
        }
        _ => return Error::internal(error),
    };
    Error::caused_by(code, message, error)
}

/// Returns the error that a function sees when its commit fails.
pub fn commit_error(error: CommitError) -> Error {
    match error {
        CommitError::Conflict => store_error(StoreError::Conflict),
        CommitError::Lost { reason } => store_error(StoreError::Lost { reason }),
        CommitError::Unknown { .. } => Error::caused_by(
            Code::Unavailable,
            "the connection to the database was lost while committing; the write may have happened",
            error,
        ),
        CommitError::Store(error) => store_error(error),
        other => Error::internal(other),
    }
}
