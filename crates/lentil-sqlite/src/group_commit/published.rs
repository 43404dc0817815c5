use std::ops::RangeInclusive;

use lentil_store::{StoreError, Timestamp};
use parking_lot::RwLock;
use tokio::sync::Notify;

/// The timestamp up to which commits are durable, observed and visible.
pub(crate) struct PublishedTimestamp {
    state: RwLock<State>,
    changed: Notify,
}

struct State {
    published: Timestamp,
    /// The timestamps of aborted batches, in order. Later commits skip them.
    aborted: Vec<RangeInclusive<Timestamp>>,
}

/// The fate of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pending,
    Published,
    Aborted,
}

impl PublishedTimestamp {
    /// Creates the timestamp of a store whose last commit is at `last`.
    pub(crate) fn at(last: Timestamp) -> PublishedTimestamp {
        PublishedTimestamp {
            state: RwLock::new(State::at(last)),
            changed: Notify::new(),
        }
    }

    pub(crate) fn get(&self) -> Timestamp {
        self.state.read().published
    }

    /// Publishes the commits up to `timestamp`. They must be durable, and the observer must know
    /// them.
    pub(crate) fn advance(&self, timestamp: Timestamp) {
        self.change(|state| {
            debug_assert!(state.published < timestamp, "the timestamp never goes back");
            state.published = timestamp;
        });
    }

    /// Records that the commits with these timestamps were aborted. `committed` is the last commit
    /// before them.
    pub(crate) fn abort(&self, aborted: RangeInclusive<Timestamp>, committed: Timestamp) {
        self.change(|state| state.abort(aborted, committed));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        // Unlock before notifying: the callers that wake read the state.
        change(&mut self.state.write());
        self.changed.notify_waiters();
    }

    /// Waits until the commit at `timestamp` is published.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if it was aborted.
    pub(crate) async fn wait(&self, timestamp: Timestamp) -> Result<(), StoreError> {
        loop {
            // Registering takes a lock, so look first: most commits are published already.
            if let Some(outcome) = self.outcome(timestamp) {
                return outcome;
            }
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            // Look again: a change before the registration has notified others only.
            if let Some(outcome) = self.outcome(timestamp) {
                return outcome;
            }
            changed.await;
        }
    }

    fn outcome(&self, timestamp: Timestamp) -> Option<Result<(), StoreError>> {
        match self.state.read().fate(timestamp) {
            Fate::Pending => None,
            Fate::Published => Some(Ok(())),
            Fate::Aborted => Some(Err(StoreError::Lost {
                reason: "it was in a batch that was aborted before it was durable".to_owned(),
            })),
        }
    }
}

impl State {
    fn at(published: Timestamp) -> State {
        State {
            published,
            aborted: Vec::new(),
        }
    }

    /// Adds a range. Ranges without a commit between them merge, so that a disk that stays full
    /// adds one range.
    fn abort(&mut self, aborted: RangeInclusive<Timestamp>, committed: Timestamp) {
        match self.aborted.last_mut() {
            Some(last) if *last.start() > committed => *last = *last.start()..=*aborted.end(),
            _ => self.aborted.push(aborted),
        }
    }

    fn fate(&self, timestamp: Timestamp) -> Fate {
        // Aborted timestamps come first: later commits advance `published` beyond them.
        if self.aborted.iter().any(|range| range.contains(&timestamp)) {
            Fate::Aborted
        } else if timestamp <= self.published {
            Fate::Published
        } else {
            Fate::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn aborted_commits_are_never_published() {
        let mut state = State::at(at(5));
        assert_eq!(state.fate(at(5)), Fate::Published);
        assert_eq!(state.fate(at(6)), Fate::Pending);
        state.abort(at(6)..=at(8), at(5));
        state.published = at(9);
        let fates = [5, 6, 8, 9, 10].map(|nanos| state.fate(at(nanos)));
        assert_eq!(
            fates,
            [
                Fate::Published,
                Fate::Aborted,
                Fate::Aborted,
                Fate::Published,
                Fate::Pending
            ]
        );
    }

    #[test]
    fn aborted_ranges_merge_unless_a_commit_lies_between() {
        let mut state = State::at(at(5));
        state.abort(at(6)..=at(6), at(5));
        state.abort(at(7)..=at(9), at(5));
        assert_eq!(state.aborted, [at(6)..=at(9)]);
        // The commit at 10 is in the file, but not yet published.
        state.abort(at(11)..=at(11), at(10));
        assert_eq!(state.aborted, [at(6)..=at(9), at(11)..=at(11)]);
    }
}
