use std::time::Instant;

use lentil_store::{CommitError, StoreError, Timestamp, WriteSet};
use tokio::sync::oneshot;

use super::policy::OpenBatch;

/// Mutations that share one database transaction and its outcome.
pub(crate) struct Batch {
    /// Increases from batch to batch.
    pub(crate) number: u64,
    opened: Instant,
    /// The applied write sets in order.
    pub(crate) commits: Vec<(Timestamp, WriteSet)>,
    bytes: usize,
    /// The callers that wait for the outcome.
    waiters: Vec<oneshot::Sender<Outcome>>,
}

/// The outcome of a batch: it is durable and published, or it was aborted for this reason.
pub(crate) type Outcome = Result<(), String>;

impl Batch {
    pub(crate) fn open(number: u64) -> Batch {
        Batch {
            number,
            opened: Instant::now(),
            commits: Vec::new(),
            bytes: 0,
            waiters: Vec::new(),
        }
    }

    /// Adds a write set that was applied.
    pub(crate) fn push(&mut self, timestamp: Timestamp, writes: WriteSet, bytes: usize) {
        debug_assert!(
            self.commits.last().is_none_or(|last| last.0 < timestamp),
            "timestamps increase"
        );
        self.commits.push((timestamp, writes));
        self.bytes += bytes;
    }

    /// Returns the state that the policy needs.
    pub(crate) fn state(&self) -> OpenBatch {
        OpenBatch {
            number: self.number,
            commits: self.commits.len(),
            bytes: self.bytes,
            opened: self.opened,
        }
    }

    /// Returns a receiver of the outcome.
    pub(crate) fn subscribe(&mut self) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        self.waiters.push(sender);
        receiver
    }

    /// Splits the batch into its commits, and the callers that wait for them.
    pub(crate) fn into_parts(self) -> (Vec<(Timestamp, WriteSet)>, Waiters) {
        (self.commits, Waiters(self.waiters))
    }
}

/// The callers that wait for the outcome of a batch.
pub(crate) struct Waiters(Vec<oneshot::Sender<Outcome>>);

impl Waiters {
    /// Sends the outcome to all callers.
    pub(crate) fn notify(self, outcome: &Outcome) {
        for waiter in self.0 {
            // A caller that is gone needs no outcome.
            let _ = waiter.send(outcome.clone());
        }
    }
}

/// Waits until a batch is durable and published.
///
/// # Errors
/// [`CommitError::Lost`] if the batch was aborted.
pub(crate) async fn acknowledged(outcome: oneshot::Receiver<Outcome>) -> Result<(), CommitError> {
    match outcome.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => Err(CommitError::Lost { reason }),
        // The committer ended without an outcome.
        Err(_) => Err(CommitError::Store(StoreError::Closed)),
    }
}
