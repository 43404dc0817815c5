use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::policy::{Action, Event, Limits, OpenBatch, Policy};

/// Carries events to the policy and its actions to the committer.
pub(crate) struct CommitQueue {
    state: Mutex<State>,
    /// Wakes the committer.
    changed: Condvar,
}

struct State {
    policy: Policy,
    requests: Requests,
}

/// The requests to the committer.
#[derive(Default)]
struct Requests {
    close: bool,
    /// When the open batch closes if no request comes before.
    close_at: Option<Instant>,
    stop: bool,
}

/// The reason why the committer wakes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The open batch must be committed.
    Close,
    /// The store closes: the open batch is the last one.
    Stop,
    /// Nothing happened before the deadline of the wait.
    Timeout,
}

impl CommitQueue {
    pub(crate) fn new(limits: Limits) -> CommitQueue {
        CommitQueue {
            state: Mutex::new(State {
                policy: Policy::new(limits),
                requests: Requests::default(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Reports an event to the policy, and passes its action to the committer.
    pub(crate) fn report(&self, event: Event) -> Action {
        let mut state = self.state.lock();
        let (policy, action) = state.policy.next(event);
        state.policy = policy;
        let wakes = match action {
            Action::None | Action::Yield => false,
            Action::Close => {
                state.requests.close = true;
                true
            }
            Action::CloseAt(time) => {
                let before = state.requests.close_at.replace(time);
                // A committer that waits for an earlier time notices the later one by itself.
                before.is_none_or(|before| time < before)
            }
        };
        // Unlock before waking, so that the committer does not wake only to wait for the mutex.
        drop(state);
        if wakes {
            self.changed.notify_one();
        }
        action
    }

    /// Tells the committer to commit the open batch and end.
    pub(crate) fn stop(&self) {
        self.state.lock().requests.stop = true;
        self.changed.notify_one();
    }

    /// Waits for a request to the committer, until `deadline`.
    pub(crate) fn wait(&self, deadline: Instant) -> Wake {
        let mut state = self.state.lock();
        loop {
            let Requests {
                close,
                close_at,
                stop,
            } = state.requests;
            let now = Instant::now();
            if stop {
                return Wake::Stop;
            }
            if close || close_at.is_some_and(|time| time <= now) {
                state.requests = Requests::default();
                return Wake::Close;
            }
            if deadline <= now {
                return Wake::Timeout;
            }
            let until = match close_at {
                Some(time) => time.min(deadline),
                None => deadline,
            };
            self.changed.wait_until(&mut state, until);
        }
    }
}

/// A transaction's part in a batch. It reports to the policy how the transaction leaves the batch,
/// also when the transaction's caller is dropped.
pub(crate) struct BatchGuard {
    queue: Arc<CommitQueue>,
    number: u64,
    phase: Phase,
}

enum Phase {
    /// The transaction has applied nothing to the batch.
    Reading,
    /// The transaction has applied its writes.
    Joined(OpenBatch),
    /// The policy knows that the transaction has left.
    Left,
}

impl BatchGuard {
    /// A guard for a transaction that reads in the batch of this number.
    pub(crate) fn new(queue: &Arc<CommitQueue>, number: u64) -> BatchGuard {
        BatchGuard {
            queue: Arc::clone(queue),
            number,
            phase: Phase::Reading,
        }
    }

    /// Returns the number of the batch.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Notes that the transaction has applied its writes to the batch.
    pub(crate) fn join(&mut self, batch: OpenBatch) {
        debug_assert_eq!(
            batch.number, self.number,
            "a transaction stays in its batch"
        );
        self.phase = Phase::Joined(batch);
    }

    /// Leaves the batch after the write lock was released.
    pub(crate) async fn leave(mut self) {
        let Phase::Joined(batch) = self.phase else {
            return;
        };
        let now = Instant::now();
        if self.queue.report(Event::Joined { batch, now }) == Action::Yield {
            // `drop` reports the end of the yield, also if this future is dropped before.
            tokio::task::yield_now().await;
        } else {
            self.phase = Phase::Left;
        }
    }

    /// Leaves a batch that was rolled back because it was empty.
    pub(crate) fn leave_ended(mut self) {
        self.phase = Phase::Left;
        self.queue.report(Event::Ended {
            number: self.number,
        });
    }
}

impl Drop for BatchGuard {
    fn drop(&mut self) {
        let event = match self.phase {
            Phase::Left => return,
            Phase::Reading => Event::Left {
                number: self.number,
            },
            Phase::Joined(batch) => Event::Yielded {
                batch,
                now: Instant::now(),
            },
        };
        self.queue.report(event);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn queue() -> Arc<CommitQueue> {
        Arc::new(CommitQueue::new(Limits {
            commits: 10,
            bytes: 1_000,
            age: Duration::from_millis(20),
        }))
    }

    fn batch(number: u64, opened: Instant) -> OpenBatch {
        OpenBatch {
            number,
            commits: 1,
            bytes: 1,
            opened,
        }
    }

    fn wait_for(queue: &CommitQueue, millis: u64) -> Wake {
        queue.wait(Instant::now() + Duration::from_millis(millis))
    }

    #[test]
    fn dropped_transaction_closes_its_batch_once() {
        let queue = queue();
        drop(BatchGuard::new(&queue, 1));
        assert_eq!(wait_for(&queue, 0), Wake::Close);
        drop(BatchGuard::new(&queue, 1));
        assert_eq!(wait_for(&queue, 0), Wake::Timeout);
    }

    #[test]
    fn dropped_caller_of_a_mutation_closes_its_batch() {
        let queue = queue();
        let mut guard = BatchGuard::new(&queue, 1);
        guard.join(batch(1, Instant::now()));
        drop(guard.leave());
        assert_eq!(wait_for(&queue, 0), Wake::Close);
    }

    #[tokio::test]
    async fn batch_with_a_queued_mutation_closes_at_its_age_limit() {
        let queue = queue();
        let opened = Instant::now();
        queue.report(Event::Queued);
        let mut guard = BatchGuard::new(&queue, 1);
        guard.join(batch(1, opened));
        guard.leave().await;
        assert_eq!(wait_for(&queue, 0), Wake::Timeout);
        assert_eq!(wait_for(&queue, 10_000), Wake::Close);
        assert!(opened.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn stop_overrides_other_requests() {
        let queue = queue();
        queue.report(Event::Maintenance);
        queue.stop();
        assert_eq!(wait_for(&queue, 0), Wake::Stop);
        assert_eq!(wait_for(&queue, 0), Wake::Stop);
    }
}
