//! How long a batch waits for more mutations when none is at hand.
//!
//! Clients that have just been answered often come again at once. A batch that does not wait for them is small, and they
//! wait for its fsync and for their own; on a slow disk small and large batches then take turns for ever. So a batch
//! that is smaller than the one before waits for the next mutation a quarter as long as the disk takes, and in all no
//! longer than [`SqliteOptions::batch_time`](crate::SqliteOptions). Alone, a client never waits: its batches are of one.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What the last batch was like.
#[derive(Default)]
pub(crate) struct Pace {
    commits: AtomicUsize,
    sync_nanos: AtomicU64,
}

impl Pace {
    /// A batch of so many commits was made durable, which took the disk so long.
    pub(crate) fn note(&self, sync: Duration, commits: usize) {
        self.sync_nanos
            .store(sync.as_nanos() as u64, Ordering::Relaxed);
        self.commits.store(commits, Ordering::Relaxed);
    }

    /// How long a batch of so many commits waits for the next.
    pub(crate) fn patience(&self, commits: usize) -> Option<Duration> {
        let is_small = commits < self.commits.load(Ordering::Relaxed);
        is_small.then(|| Duration::from_nanos(self.sync_nanos.load(Ordering::Relaxed) / 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_waits_while_it_is_smaller_than_the_last_was() {
        let pace = Pace::default();
        assert_eq!(pace.patience(1), None, "nothing is known yet");
        pace.note(Duration::from_millis(2), 3);
        assert_eq!(pace.patience(2), Some(Duration::from_micros(500)));
        assert_eq!(pace.patience(3), None);
        pace.note(Duration::from_millis(2), 1);
        assert_eq!(pace.patience(1), None, "who is alone does not wait");
    }
}
