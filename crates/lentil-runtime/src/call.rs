use crate::context::Auth;
use crate::log::Log;
use crate::random::Random;
use crate::{Code, Error, FunctionPath, Identity, Result, Runtime};

/// What every context knows of the call it serves.
pub(crate) struct Call {
    pub(crate) runtime: Runtime,
    pub(crate) log: Log,
    pub(crate) random: Random,
    pub(crate) auth: Auth,
    depth: usize,
}

impl Call {
    /// A call from outside.
    pub(crate) fn outermost(runtime: Runtime, identity: Identity) -> Call {
        let log = Log::new(runtime.limits());
        Call {
            runtime,
            log,
            random: Random::default(),
            auth: Auth::new(identity),
            depth: 1,
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
            log: self.log.clone(),
            random: Random::default(),
            auth: self.auth.clone(),
            depth: self.depth + 1,
        })
    }

    pub(crate) fn random(&mut self) -> f64 {
        self.random.next_f64(self.runtime.seeds())
    }
}
