use lentil_call::{CallSource, FunctionPath, Identity, RequestId, Result};
use lentil_store::Timestamp;
use lentil_values::{Object, Value};

use crate::memory::Charge;
use crate::session::SessionRequest;

/// A call of a function by its name, as clients make it.
#[derive(Debug)]
pub struct FunctionCall {
    /// The function.
    pub path: FunctionPath,
    /// Its arguments.
    pub args: Object,
    /// On whose behalf: only the administrator finds internal functions.
    pub identity: Identity,
    /// Of a mutation that must not run twice: its place in its client's session.
    pub request: Option<SessionRequest>,
    /// The charge for the arguments, until the call has ended.
    pub charge: Charge,
    /// The call's source; `None` when the program itself calls.
    pub source: Option<CallSource>,
}

impl FunctionCall {
    /// A call on behalf of `identity`.
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

    /// The same call, from this source.
    #[must_use]
    pub fn with_source(mut self, source: CallSource) -> FunctionCall {
        self.source = Some(source);
        self
    }
}

/// What a function call came to.
#[derive(Debug)]
pub struct FunctionOutcome {
    /// Its result.
    pub result: Result<Value>,
    /// Its log lines, those of nested calls among them.
    pub log_lines: Vec<String>,
    /// A timestamp that has all that the call wrote and read.
    pub timestamp: Timestamp,
    /// Returns the call's id in the log.
    pub request_id: RequestId,
    /// The charge for the result and the text that is made of it.
    pub charge: Charge,
}
