//! The vocabulary of a call: the function, the caller, the limits, the log and the error.
//!
//! All layers above use these types. This crate knows no runtime, transaction or context.

mod backoff;
mod body_error;
mod code;
mod error;
mod failure;
mod identity;
mod kind;
mod limits;
mod log;
mod path;
mod random;
mod request_id;
mod source;

pub use backoff::Backoff;
pub use body_error::{BodyError, OverBudget};
pub use code::Code;
pub use error::{Error, IntoError, OrError, Result, commit_error, store_error};
pub use identity::{Identity, UserIdentity};
pub use kind::{FunctionKind, Visibility};
pub use limits::{Limits, check_size};
pub use log::{Log, LogLevel, cut};
pub use path::{FunctionPath, FunctionPathError};
pub use random::{Random, Seeds};
pub use request_id::RequestId;
pub use source::{CallSource, Caller};
