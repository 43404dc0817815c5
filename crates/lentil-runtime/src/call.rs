use std::sync::Arc;

use lentil_call::{Log, Random};
use tracing::Span;

use crate::context::Auth;
use crate::executions::ExecutionId;
use crate::{CallSource, Code, Error, FunctionPath, Identity, Result, Runtime};

/// What every context knows of the call it serves.
pub(crate) struct Call {
    pub(crate) runtime: Runtime,
    pub(crate) log: Log,
    pub(crate) random: Random,
    pub(crate) auth: Auth,
    pub(crate) source: Arc<CallSource>,
    pub(crate) execution: ExecutionId,
    /// The execution that made this call; none for a call from outside.
    pub(crate) parent: Option<ExecutionId>,
    depth: usize,
}

impl Call {
    /// A call from outside, of the function or route of this name.
    pub(crate) fn outermost(
        runtime: Runtime,
        identity: Identity,
        source: impl Into<Arc<CallSource>>,
        name: &Arc<str>,
    ) -> Call {
        let source = source.into();
        let log = Log::new(runtime.limits(), &source, name);
        Call {
            log,
            random: Random::default(),
            auth: Auth::new(identity),
            source,
            execution: runtime.next_execution_id(),
            parent: None,
            depth: 1,
            runtime,
        }
    }

    /// A call from inside this one: the same log, one level deeper.
    pub(crate) fn nested(&self, path: &FunctionPath) -> Result<Call> {
        let limit = self.runtime.limits().call_depth;
        if self.depth >= limit {
            let message = format!(
                "`{path}` would be nested {} calls deep; the limit is {limit}",
                self.depth + 1
            );
            return Err(Error::new(Code::LimitExceeded, message));
        }
        Ok(Call {
            runtime: self.runtime.clone(),
            log: self.log.of(&path.shared()),
            random: Random::default(),
            auth: self.auth.clone(),
            source: Arc::clone(&self.source),
            execution: self.runtime.next_execution_id(),
            parent: Some(self.execution),
            depth: self.depth + 1,
        })
    }

    /// Returns an attempt at this call. It has its own log, and its own record of whether the function asked for its
    /// user.
    pub(crate) fn attempt(&self, name: &Arc<str>) -> Call {
        Call {
            runtime: self.runtime.clone(),
            log: Log::new(self.runtime.limits(), &self.source, name),
            random: Random::default(),
            auth: Auth::new(self.auth.identity().clone()),
            source: Arc::clone(&self.source),
            execution: self.execution,
            parent: self.parent,
            depth: 1,
        }
    }

    /// The span of the call in the trace.
    pub(crate) fn span(&self) -> Span {
        let (function, request_id) = (self.log.function(), &self.source.request_id);
        tracing::debug_span!("call", function, %request_id)
    }
}
