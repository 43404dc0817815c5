use std::ops::RangeInclusive;

use lentil_store::{StoreError, Timestamp};
use parking_lot::RwLock;
use tokio::sync::Notify;

/// How far commits are published, told to those who wait.
pub(crate) struct Publication {
    published: RwLock<Published>,
    changed: Notify,
}

impl Publication {
    pub(crate) fn up_to(last: Timestamp) -> Publication {
        Publication {
            published: RwLock::new(Published::up_to(last)),
            changed: Notify::new(),
        }
    }

    /// The last commit that is published.
    pub(crate) fn timestamp(&self) -> Timestamp {
        self.published.read().timestamp
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Published)) {
        change(&mut self.published.write());
        self.changed.notify_waiters();
    }

    /// Waits until this commit is published; fails when it never will be.
    pub(crate) async fn wait(&self, timestamp: Timestamp) -> Result<(), StoreError> {
        loop {
            // Most often it is settled already, and there is nothing to wait for.
            if let Some(outcome) = self.outcome(timestamp) {
                return outcome;
            }
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(outcome) = self.outcome(timestamp) {
                return outcome;
            }
            changed.await;
        }
    }

    fn outcome(&self, timestamp: Timestamp) -> Option<Result<(), StoreError>> {
        let lost = |()| StoreError::Lost {
            reason: "it was in a batch that was not made durable".to_owned(),
        };
        self.published
            .read()
            .outcome(timestamp)
            .map(|outcome| outcome.map_err(lost))
    }
}

/// How far commits are durable, observed and shown, and which never will be.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) timestamp: Timestamp,
    /// The timestamps of batches that were lost, in order. Later commits pass them by.
    lost: Vec<RangeInclusive<Timestamp>>,
}

impl Published {
    fn up_to(timestamp: Timestamp) -> Published {
        Published {
            timestamp,
            lost: Vec::new(),
        }
    }

    /// Remembers that these never became durable; `kept` is the last commit before them that was not lost.
    ///
    /// While a disk stays full every attempt is lost; all of them make one range.
    pub(crate) fn lose(&mut self, lost: RangeInclusive<Timestamp>, kept: Timestamp) {
        match self.lost.last_mut().filter(|last| *last.start() > kept) {
            Some(last) => *last = *last.start()..=*lost.end(),
            None => self.lost.push(lost),
        }
    }

    /// Whether the commit is published (`Ok`) or never will be (`Err`); `None` when that is still open.
    fn outcome(&self, timestamp: Timestamp) -> Option<Result<(), ()>> {
        if self.lost.iter().any(|lost| lost.contains(&timestamp)) {
            return Some(Err(()));
        }
        (timestamp <= self.timestamp).then_some(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn what_was_lost_is_never_published_though_later_commits_are() {
        let mut published = Published::up_to(at(5));
        assert_eq!(
            (published.outcome(at(5)), published.outcome(at(6))),
            (Some(Ok(())), None)
        );
        published.lose(at(6)..=at(8), at(5));
        published.timestamp = at(9);
        let outcomes = [5, 6, 8, 9, 10].map(|nanos| published.outcome(at(nanos)));
        assert_eq!(
            outcomes,
            [
                Some(Ok(())),
                Some(Err(())),
                Some(Err(())),
                Some(Ok(())),
                None
            ]
        );
    }

    #[test]
    fn losses_without_a_commit_between_are_one_range() {
        let mut published = Published::up_to(at(5));
        published.lose(at(6)..=at(6), at(5));
        published.lose(at(7)..=at(9), at(5));
        assert_eq!(published.lost, [at(6)..=at(9)]);
        // The commit at 10 is in the file, but not yet published.
        published.lose(at(11)..=at(11), at(10));
        assert_eq!(published.lost, [at(6)..=at(9), at(11)..=at(11)]);
    }
}
