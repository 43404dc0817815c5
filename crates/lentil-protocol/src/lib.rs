//! The wire format of Convex, as the official clients use it: bodies and headers of the HTTP API,
//! and the messages of the sync WebSocket. This crate converts from and to text, and does no I/O.

mod authorization;
mod call;
mod error;
mod json;
pub mod sync;
mod timestamp;

pub use authorization::Authorization;
pub use call::{Batch, Format, FunctionRequest, FunctionResponse, read_args};
pub use error::{Failure, ProtocolError};
pub use timestamp::{WireTimestamp, WireTimestampError};
