//! A client's mutations, one after another, and its actions, side by side.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lentil_runtime::memory::Account;
use lentil_runtime::{FunctionCall, FunctionKind, FunctionOutcome, Runtime};

use super::close_reason::CloseReason;

/// Calls of a kind that may wait or run at a time.
const MOST_CALLS: usize = 1_000;
/// Bytes of memory of their arguments, over which nothing more is read.
const MOST_BYTES: usize = 32 << 20;

/// Bytes of a call beside its arguments, its future included.
const CALL_BYTES: usize = 4 << 10;

/// A call that a client has made.
pub(super) struct Asked {
    pub(super) kind: FunctionKind,
    pub(super) request_id: u32,
    pub(super) call: FunctionCall,
}

/// A call that has come to its end.
pub(super) struct Answered {
    pub(super) kind: FunctionKind,
    pub(super) request_id: u32,
    pub(super) outcome: FunctionOutcome,
    bytes: usize,
}

type Running = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// The calls of one client that have no answer yet.
#[derive(Default)]
pub(super) struct Calls {
    waiting: VecDeque<Asked>,
    mutation: Option<Running>,
    actions: FuturesUnordered<Running>,
    bytes: usize,
}

impl Calls {
    /// Returns whether more may be asked.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < MOST_BYTES
    }

    /// Returns whether a mutation is running.
    pub(super) fn has_mutation(&self) -> bool {
        self.mutation.is_some()
    }

    /// Accepts a call, and charges the client for its arguments.
    pub(super) fn add(
        &mut self,
        runtime: &Runtime,
        account: &Account,
        mut asked: Asked,
    ) -> Result<(), CloseReason> {
        let (count, too_many) = match asked.kind {
            FunctionKind::Mutation => (self.waiting.len(), "TooManyConcurrentMutations"),
            _ => (self.actions.len(), "TooManyConcurrentActions"),
        };
        if count >= MOST_CALLS {
            return Err(CloseReason::busy(too_many));
        }
        let bytes = CALL_BYTES + asked.call.args.heap_size();
        let charge = account.try_charge(bytes);
        asked.call.charge = charge.map_err(|_| CloseReason::over_budget())?;
        self.bytes += bytes;
        match asked.kind {
            FunctionKind::Mutation => {
                self.waiting.push_back(asked);
                self.start_next(runtime);
            }
            _ => self.actions.push(run(runtime, asked)),
        }
        Ok(())
    }

    /// Starts the next mutation if none is running.
    fn start_next(&mut self, runtime: &Runtime) {
        if self.mutation.is_none() {
            self.mutation = self.waiting.pop_front().map(|asked| run(runtime, asked));
        }
    }

    /// The next call that comes to its end; never, when there is none. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Answered {
        let mutation = async {
            match &mut self.mutation {
                Some(mutation) => mutation.await,
                None => pending().await,
            }
        };
        let action = async {
            match self.actions.next().await {
                Some(answered) => answered,
                None => pending().await,
            }
        };
        tokio::select! { answered = mutation => answered, answered = action => answered }
    }

    /// Notes that a call's answer is on its way, and starts what has waited for that.
    pub(super) fn ended(&mut self, answered: &Answered, runtime: &Runtime) {
        self.bytes -= answered.bytes;
        if answered.kind == FunctionKind::Mutation {
            self.mutation = None;
            self.start_next(runtime);
        }
    }
}

/// Runs a call, which goes on when the connection ends.
fn run(runtime: &Runtime, asked: Asked) -> Running {
    let Asked {
        kind,
        request_id,
        call,
    } = asked;
    let (runtime, bytes) = (runtime.clone(), call.charge.bytes());
    Box::pin(async move {
        let outcome = runtime.call(call, Some(kind)).await;
        Answered {
            kind,
            request_id,
            outcome,
            bytes,
        }
    })
}
