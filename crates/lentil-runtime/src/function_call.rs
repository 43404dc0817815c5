use lentil_call::{CallSource, FunctionPath, Identity, RequestId, Result};
use lentil_store::Timestamp;
use lentil_values::{Object, Value};

use crate::memory::Charge;
use crate::session::SessionRequest;

/// A call of a function by its path, as clients make it.
#[derive(Debug)]
pub struct FunctionCall {
    /// The function.
    pub path: FunctionPath,
    /// Its arguments.
    pub args: Object,
    /// The identity of the caller. Only the administrator can call internal functions.
    pub identity: Identity,
    /// The request in a client's session, for a mutation that must not run twice.
    pub request: Option<SessionRequest>,
    /// The charge for the arguments, until the call ends.
    pub charge: Charge,
    /// The source of the call; `None` if the program itself calls.
    pub source: Option<CallSource>,
}

impl FunctionCall {
    /// Returns a call with this identity.
    pub fn new(path: FunctionPath, args: Object, identity: Identity) -> FunctionCall {
        FunctionCall {
            path,
            args,
            identity,
            request: None,
            charge: Charge::default(),
            source: None,
        }
    }

    /// Returns this call with a source.
    #[must_use]
    pub fn with_source(mut self, source: CallSource) -> FunctionCall {
        self.source = Some(source);
        self
    }
}

/// The outcome of a function call.
#[derive(Debug)]
pub struct FunctionOutcome {
    /// Its result.
    pub result: Result<Value>,
    /// Its log lines, including those of nested calls.
    pub log_lines: Vec<String>,
    /// A timestamp that includes all that the call wrote and read.
    pub timestamp: Timestamp,
    /// The id of the call in the log.
    pub request_id: RequestId,
    /// The charge for the result and its text.
    pub charge: Charge,
}
