//! The calls of one client: its mutations, one after another, and its actions, concurrently.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lentil_runtime::memory::Account;
use lentil_runtime::{FunctionCall, FunctionKind, FunctionOutcome, Runtime};

use super::close_reason::CloseReason;

/// The most waiting mutations, and the most running actions, of one client.
const MAX_CALLS: usize = 1_000;
/// The bytes of unfinished calls above which the server reads nothing more from the client.
const MAX_CALL_BYTES: usize = 32 << 20;
/// Estimated bytes of a call beside its arguments, its future included.
const CALL_OVERHEAD_BYTES: usize = 4 << 10;

/// A call that a client requested.
pub(super) struct RequestedCall {
    pub(super) kind: FunctionKind,
    pub(super) request_id: u32,
    pub(super) call: FunctionCall,
}

/// A call that has finished.
pub(super) struct FinishedCall {
    pub(super) kind: FunctionKind,
    pub(super) request_id: u32,
    pub(super) outcome: FunctionOutcome,
    bytes: usize,
}

type RunningCall = Pin<Box<dyn Future<Output = FinishedCall> + Send>>;

/// The unfinished calls of one client.
#[derive(Default)]
pub(super) struct Calls {
    // Convex executes the mutations of a client in the order in which it requested them.
    waiting_mutations: VecDeque<RequestedCall>,
    mutation: Option<RunningCall>,
    actions: FuturesUnordered<RunningCall>,
    bytes: usize,
}

impl Calls {
    /// Returns whether the client may request more calls.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < MAX_CALL_BYTES
    }

    /// Returns whether a mutation is running.
    pub(super) fn has_mutation(&self) -> bool {
        self.mutation.is_some()
    }

    /// Adds a call, and charges the client for its arguments.
    pub(super) fn add(
        &mut self,
        runtime: &Runtime,
        account: &Account,
        mut requested: RequestedCall,
    ) -> Result<(), CloseReason> {
        let is_mutation = requested.kind == FunctionKind::Mutation;
        if is_mutation && self.waiting_mutations.len() >= MAX_CALLS {
            return Err(CloseReason::busy("TooManyConcurrentMutations"));
        }
        if !is_mutation && self.actions.len() >= MAX_CALLS {
            return Err(CloseReason::busy("TooManyConcurrentActions"));
        }
        let bytes = CALL_OVERHEAD_BYTES + requested.call.args.heap_size();
        let charge = account.try_charge(bytes);
        requested.call.charge = charge.map_err(|_| CloseReason::over_budget())?;
        self.bytes += bytes;

        if is_mutation {
            self.waiting_mutations.push_back(requested);
            self.start_next_mutation(runtime);
        } else {
            self.actions.push(start(runtime, requested));
        }
        Ok(())
    }

    /// Starts the next mutation if none is running.
    fn start_next_mutation(&mut self, runtime: &Runtime) {
        if self.mutation.is_none()
            && let Some(requested) = self.waiting_mutations.pop_front()
        {
            self.mutation = Some(start(runtime, requested));
        }
    }

    /// Returns the next call that finishes. Waits forever while none is running. Cancelling the
    /// future loses no data.
    pub(super) async fn next(&mut self) -> FinishedCall {
        let mutation = async {
            match &mut self.mutation {
                Some(mutation) => mutation.await,
                None => pending().await,
            }
        };
        let action = async {
            match self.actions.next().await {
                Some(finished) => finished,
                None => pending().await,
            }
        };
        tokio::select! {
            finished = mutation => finished,
            finished = action => finished,
        }
    }

    /// Removes a finished call once its response is on its way, and starts the next mutation.
    pub(super) fn remove(&mut self, finished: &FinishedCall, runtime: &Runtime) {
        self.bytes -= finished.bytes;
        if finished.kind == FunctionKind::Mutation {
            self.mutation = None;
            self.start_next_mutation(runtime);
        }
    }
}

/// Starts a call. Its function runs to completion also if the connection ends.
fn start(runtime: &Runtime, requested: RequestedCall) -> RunningCall {
    let RequestedCall {
        kind,
        request_id,
        call,
    } = requested;
    let runtime = runtime.clone();
    let bytes = call.charge.bytes();
    Box::pin(async move {
        let outcome = runtime.call(call, Some(kind)).await;
        FinishedCall {
            kind,
            request_id,
            outcome,
            bytes,
        }
    })
}
