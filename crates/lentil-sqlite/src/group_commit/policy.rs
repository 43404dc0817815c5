use std::time::{Duration, Instant};

/// The number of mutations that execute back to back before one yields to the scheduler.
///
/// Passing on the write lock wakes the next mutation first, so without a yield reads would starve.
pub(crate) const YIELD_EVERY: usize = 4;

/// Decides when a batch closes.
///
/// **A batch closes when a mutation leaves it and it is full, or no other mutation is queued and
/// the commit delay has passed; at the latest it closes at its age limit, or when maintenance needs
/// the connection.**
///
/// The *commit delay*: clients that have just received a response often send the next request at
/// once. A batch that closes before these requests arrive is small, and they wait for its fsync and
/// for their own; on a slow disk small and large batches would alternate. So a batch that is
/// smaller than the previous one waits for a quarter of the last fsync's duration. A lone client
/// never waits, because each of its batches has one mutation.
///
/// The policy is a state machine without clocks, locks or I/O: [`Policy::next`] maps a state and an
/// event to the next state and an action. [`CommitQueue`](super::queue::CommitQueue) carries out
/// the action.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    limits: Limits,
    /// The number of mutations that wait for the write lock.
    queued: usize,
    /// The number of the newest batch that is closed. Batches close in order.
    closed: u64,
    previous: PreviousBatch,
}

/// The limits at which a batch is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) commits: usize,
    pub(crate) bytes: usize,
    pub(crate) age: Duration,
}

/// The last batch that was made durable.
#[derive(Clone, Copy, Debug, Default)]
struct PreviousBatch {
    commits: usize,
    fsync: Duration,
}

/// A batch when a mutation has joined it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenBatch {
    /// Increases from batch to batch.
    pub(crate) number: u64,
    pub(crate) commits: usize,
    pub(crate) bytes: usize,
    pub(crate) opened: Instant,
}

/// An event of the life of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A mutation begins to wait for the write lock.
    Queued,
    /// A mutation has acquired the write lock after waiting, or has stopped waiting.
    Dequeued,
    /// A mutation has applied its writes to the batch and released the write lock.
    Joined { batch: OpenBatch, now: Instant },
    /// The same mutation has let other tasks run, or its caller was dropped.
    Yielded { batch: OpenBatch, now: Instant },
    /// A transaction that applied nothing has ended. It had opened this batch or read in it.
    Left { number: u64 },
    /// The batch is no longer open: it was committed, rolled back because it was empty, or aborted.
    Ended { number: u64 },
    /// The committer has made a batch durable.
    Durable { commits: usize, fsync: Duration },
    /// Maintenance needs the connection without an open batch.
    Maintenance,
}

/// The reaction to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    None,
    /// The mutation yields to the scheduler once, then reports [`Event::Yielded`]. Meanwhile the
    /// server reads requests that have arrived, and their mutations are queued.
    Yield,
    /// The committer closes the batch at this time, unless a later event decides otherwise.
    CloseAt(Instant),
    /// The committer closes the batch now.
    Close,
}

impl Policy {
    pub(crate) fn new(limits: Limits) -> Policy {
        Policy {
            limits,
            queued: 0,
            closed: 0,
            previous: PreviousBatch::default(),
        }
    }

    /// Returns the state after an event, and the action that it requires.
    #[must_use]
    pub(crate) fn next(mut self, event: Event) -> (Policy, Action) {
        let action = match event {
            Event::Queued => {
                self.queued += 1;
                Action::None
            }
            Event::Dequeued => {
                debug_assert!(self.queued > 0, "only a queued mutation leaves the queue");
                self.queued -= 1;
                Action::None
            }
            Event::Joined { batch, now } => self.joined(batch, now),
            Event::Yielded { batch, now } => self.yielded(batch, now),
            // If a mutation is queued, it will join this batch and decide.
            Event::Left { number } if self.queued == 0 => self.close(number),
            Event::Left { .. } => Action::None,
            Event::Ended { number } => {
                self.closed = self.closed.max(number);
                Action::None
            }
            Event::Durable { commits, fsync } => {
                self.previous = PreviousBatch { commits, fsync };
                Action::None
            }
            Event::Maintenance => Action::Close,
        };
        (self, action)
    }

    fn joined(&mut self, batch: OpenBatch, now: Instant) -> Action {
        if self.is_closed(batch.number) {
            Action::None
        } else if self.is_full(&batch, now) {
            self.close(batch.number)
        } else if self.queued > 0 {
            self.close_at_age_limit(&batch)
        } else {
            Action::Yield
        }
    }

    fn yielded(&mut self, batch: OpenBatch, now: Instant) -> Action {
        if self.is_closed(batch.number) {
            return Action::None;
        }
        if self.queued > 0 {
            return self.close_at_age_limit(&batch);
        }
        match self.commit_delay(batch.commits) {
            Some(delay) => Action::CloseAt((batch.opened + self.limits.age).min(now + delay)),
            None => self.close(batch.number),
        }
    }

    /// The next mutation is queued and will decide. The age limit applies if its function is slow.
    fn close_at_age_limit(&self, batch: &OpenBatch) -> Action {
        Action::CloseAt(batch.opened + self.limits.age)
    }

    /// Closes a batch once: each of its mutations may find that it is the last, and the committer
    /// would wake for each.
    fn close(&mut self, number: u64) -> Action {
        if self.is_closed(number) {
            return Action::None;
        }
        self.closed = number;
        Action::Close
    }

    fn is_closed(&self, number: u64) -> bool {
        number <= self.closed
    }

    fn is_full(&self, batch: &OpenBatch, now: Instant) -> bool {
        batch.commits >= self.limits.commits
            || batch.bytes >= self.limits.bytes
            || now.saturating_duration_since(batch.opened) >= self.limits.age
    }

    /// Returns how long a batch of this size waits for the next mutation.
    fn commit_delay(&self, commits: usize) -> Option<Duration> {
        (commits < self.previous.commits).then(|| self.previous.fsync / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        commits: 3,
        bytes: 1_000,
        age: Duration::from_micros(2_000),
    };

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// Runs events from a new state; checks the action of each.
    fn check(name: &str, steps: &[(Event, Action)]) {
        let mut policy = Policy::new(LIMITS);
        for (step, (event, expected)) in steps.iter().enumerate() {
            let (next, action) = policy.next(*event);
            assert_eq!(action, *expected, "{name}: step {step}, {event:?}");
            policy = next;
        }
    }

    #[test]
    fn actions_follow_the_table() {
        use Action::{Close, CloseAt, Yield};
        use Event::{Dequeued, Durable, Ended, Joined, Left, Maintenance, Queued, Yielded};

        // Each batch opens at zero.
        let zero = Instant::now();
        let at = |time| zero + micros(time);
        let batch = |number, commits| OpenBatch {
            number,
            commits,
            bytes: 10 * commits,
            opened: zero,
        };
        let joined = |number, commits, now| Joined {
            batch: batch(number, commits),
            now: at(now),
        };
        let yielded = |number, commits, now| Yielded {
            batch: batch(number, commits),
            now: at(now),
        };
        let age_limit = CloseAt(at(2_000));
        let three_in_400_micros = Durable {
            commits: 3,
            fsync: micros(400),
        };

        check(
            "a lone mutation closes its batch after it has yielded",
            &[(joined(1, 1, 50), Yield), (yielded(1, 1, 60), Close)],
        );
        check(
            "a queued mutation keeps the batch open, and closes it itself",
            &[
                (Queued, Action::None),
                (joined(1, 1, 50), age_limit),
                (Dequeued, Action::None),
                (joined(1, 2, 90), Yield),
                (yielded(1, 2, 95), Close),
            ],
        );
        check(
            "a mutation that is queued during the yield keeps the batch open",
            &[
                (joined(1, 1, 50), Yield),
                (Queued, Action::None),
                (yielded(1, 1, 60), age_limit),
            ],
        );
        check(
            "a full batch closes although mutations are queued, and only once",
            &[
                (Queued, Action::None),
                (joined(1, 3, 50), Close),
                (yielded(1, 2, 60), Action::None),
                (joined(1, 3, 61), Action::None),
                (joined(2, 1, 70), age_limit),
            ],
        );
        check(
            "a batch closes at its size in bytes",
            &[(
                Joined {
                    batch: OpenBatch {
                        bytes: 1_000,
                        ..batch(1, 1)
                    },
                    now: at(50),
                },
                Close,
            )],
        );
        check(
            "a batch closes at its age limit",
            &[(Queued, Action::None), (joined(1, 1, 2_000), Close)],
        );
        check(
            "a batch smaller than the previous one waits a quarter of the fsync",
            &[
                (three_in_400_micros, Action::None),
                (joined(1, 2, 50), Yield),
                (yielded(1, 2, 60), CloseAt(at(160))),
                (yielded(1, 2, 1_990), age_limit),
            ],
        );
        check(
            "a batch as large as the previous one does not wait",
            &[
                (
                    Durable {
                        commits: 1,
                        fsync: micros(400),
                    },
                    Action::None,
                ),
                (joined(1, 1, 50), Yield),
                (yielded(1, 1, 60), Close),
            ],
        );
        check(
            "a transaction without writes closes its batch if nobody is queued",
            &[
                (Queued, Action::None),
                (Left { number: 1 }, Action::None),
                (Dequeued, Action::None),
                (Left { number: 1 }, Close),
                (Left { number: 1 }, Action::None),
            ],
        );
        check(
            "a batch that has ended is not closed again",
            &[
                (joined(1, 1, 50), Yield),
                (Ended { number: 1 }, Action::None),
                (yielded(1, 1, 60), Action::None),
                (Left { number: 1 }, Action::None),
                (Left { number: 2 }, Close),
            ],
        );
        check(
            "maintenance closes any batch",
            &[(Queued, Action::None), (Maintenance, Close)],
        );
    }
}
