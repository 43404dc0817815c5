use std::time::{Duration, Instant};

/// The number of mutations that execute back to back before one yields to the scheduler.
///
/// Passing on the write lock wakes the next mutation first, so without a yield reads would starve.
pub(crate) const YIELD_EVERY: usize = 4;

/// Decides when a batch closes.
///
/// **A batch closes when a mutation leaves it and it is full. It also closes when no other mutation
/// is queued and the commit delay has passed, at its age limit, and when maintenance needs the
/// connection.**
///
/// The *commit delay*: clients that have just received a response often send the next request at
/// once. A batch that closes before these requests arrive is small, and they wait for two fsyncs. On
/// a slow disk, small and large batches would alternate. So a batch that is
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

/// Each test is a table: events in order, and the action that each requires.
#[cfg(test)]
mod tests {
    use super::Action::{Close, CloseAt, Yield};
    use super::Event::{Dequeued, Durable, Ended, Left, Maintenance, Queued};
    use super::*;

    const LIMITS: Limits = Limits {
        commits: 3,
        bytes: 1_000,
        age: Duration::from_micros(2_000),
    };

    /// Runs events from a new state, and checks the action of each.
    fn check(steps: &[(Event, Action)]) {
        let mut policy = Policy::new(LIMITS);
        for (step, (event, expected)) in steps.iter().enumerate() {
            let (next, action) = policy.next(*event);
            assert_eq!(action, *expected, "step {step}: {event:?}");
            policy = next;
        }
    }

    /// The time at which every batch opens; events happen some microseconds later.
    #[derive(Clone, Copy)]
    struct Opening(Instant);

    impl Opening {
        fn now() -> Opening {
            Opening(Instant::now())
        }

        fn at(self, micros: u64) -> Instant {
            self.0 + Duration::from_micros(micros)
        }

        fn batch(self, number: u64, commits: usize) -> OpenBatch {
            OpenBatch {
                number,
                commits,
                bytes: 10 * commits,
                opened: self.0,
            }
        }

        fn joined(self, number: u64, commits: usize, micros: u64) -> Event {
            Event::Joined {
                batch: self.batch(number, commits),
                now: self.at(micros),
            }
        }

        fn yielded(self, number: u64, commits: usize, micros: u64) -> Event {
            Event::Yielded {
                batch: self.batch(number, commits),
                now: self.at(micros),
            }
        }

        fn close_at_age_limit(self) -> Action {
            CloseAt(self.0 + LIMITS.age)
        }
    }

    fn durable(commits: usize, fsync_micros: u64) -> Event {
        Durable {
            commits,
            fsync: Duration::from_micros(fsync_micros),
        }
    }

    #[test]
    fn lone_mutation_closes_its_batch_after_it_has_yielded() {
        let opening = Opening::now();
        check(&[
            (opening.joined(1, 1, 50), Yield),
            (opening.yielded(1, 1, 60), Close),
        ]);
    }

    #[test]
    fn queued_mutation_keeps_the_batch_open_and_closes_it_itself() {
        let opening = Opening::now();
        check(&[
            (Queued, Action::None),
            (opening.joined(1, 1, 50), opening.close_at_age_limit()),
            (Dequeued, Action::None),
            (opening.joined(1, 2, 90), Yield),
            (opening.yielded(1, 2, 95), Close),
        ]);
    }

    #[test]
    fn mutation_queued_during_the_yield_keeps_the_batch_open() {
        let opening = Opening::now();
        check(&[
            (opening.joined(1, 1, 50), Yield),
            (Queued, Action::None),
            (opening.yielded(1, 1, 60), opening.close_at_age_limit()),
        ]);
    }

    #[test]
    fn full_batch_closes_once_although_mutations_are_queued() {
        let opening = Opening::now();
        check(&[
            (Queued, Action::None),
            (opening.joined(1, 3, 50), Close),
            (opening.yielded(1, 2, 60), Action::None),
            (opening.joined(1, 3, 61), Action::None),
            (opening.joined(2, 1, 70), opening.close_at_age_limit()),
        ]);
    }

    #[test]
    fn batch_closes_at_its_size_in_bytes() {
        let opening = Opening::now();
        let batch = OpenBatch {
            bytes: LIMITS.bytes,
            ..opening.batch(1, 1)
        };
        let joined = Event::Joined {
            batch,
            now: opening.at(50),
        };
        check(&[(Queued, Action::None), (joined, Close)]);
    }

    #[test]
    fn batch_closes_at_its_age_limit() {
        let opening = Opening::now();
        check(&[(Queued, Action::None), (opening.joined(1, 1, 2_000), Close)]);
    }

    #[test]
    fn batch_smaller_than_the_previous_one_waits_a_quarter_of_the_fsync() {
        let opening = Opening::now();
        check(&[
            (durable(3, 400), Action::None),
            (opening.joined(1, 2, 50), Yield),
            (opening.yielded(1, 2, 60), CloseAt(opening.at(160))),
            (opening.yielded(1, 2, 1_990), opening.close_at_age_limit()),
        ]);
    }

    #[test]
    fn batch_as_large_as_the_previous_one_does_not_wait() {
        let opening = Opening::now();
        check(&[
            (durable(1, 400), Action::None),
            (opening.joined(1, 1, 50), Yield),
            (opening.yielded(1, 1, 60), Close),
        ]);
    }

    #[test]
    fn transaction_without_writes_closes_its_batch_if_nobody_is_queued() {
        check(&[
            (Queued, Action::None),
            (Left { number: 1 }, Action::None),
            (Dequeued, Action::None),
            (Left { number: 1 }, Close),
            (Left { number: 1 }, Action::None),
        ]);
    }

    #[test]
    fn ended_batch_is_not_closed_again() {
        let opening = Opening::now();
        check(&[
            (opening.joined(1, 1, 50), Yield),
            (Ended { number: 1 }, Action::None),
            (opening.yielded(1, 1, 60), Action::None),
            (Left { number: 1 }, Action::None),
            (Left { number: 2 }, Close),
        ]);
    }

    #[test]
    fn maintenance_closes_any_batch() {
        check(&[(Queued, Action::None), (Maintenance, Close)]);
    }
}
