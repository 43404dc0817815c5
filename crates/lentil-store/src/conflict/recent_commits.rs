use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::store::Commit;
use crate::timestamp::Timestamp;

use super::ReadSet;

/// The latest commits. A result is compared with them before it is cached.
#[derive(Default)]
pub struct RecentCommits {
    commits: VecDeque<Arc<Commit>>,
    keys: usize,
    /// The timestamp up to which commits may have been forgotten.
    forgotten: Timestamp,
    /// For each pinned timestamp the number of its pins. Commits after the first are kept.
    pins: BTreeMap<Timestamp, usize>,
}

// Both bound the memory. A commit may have any number of keys, so that one limit is not enough.
const MAX_COMMITS: usize = 4_096;
const MAX_KEYS: usize = 65_536;

impl RecentCommits {
    /// Adds the next commit.
    pub fn add(&mut self, commit: &Arc<Commit>) {
        self.keys += commit.keys.len();
        self.commits.push_back(Arc::clone(commit));
        self.forget();
    }

    /// Forgets every commit, because anything may have changed up to `timestamp`.
    pub fn forget_all(&mut self, timestamp: Timestamp) {
        self.commits.clear();
        self.keys = 0;
        self.forgotten = timestamp;
    }

    fn forget(&mut self) {
        let pinned = self.pins.first_key_value().map(|(pinned, _)| *pinned);
        while (self.commits.len() > MAX_COMMITS || self.keys > MAX_KEYS)
            && let Some(oldest) = self.commits.front()
            && pinned.is_none_or(|pinned| oldest.timestamp <= pinned)
        {
            self.keys -= oldest.keys.len();
            // A read from before this commit can no longer be checked.
            self.forgotten = oldest.timestamp;
            self.commits.pop_front();
        }
    }

    /// Keeps every commit after `timestamp` until [`RecentCommits::unpin`].
    pub fn pin(&mut self, timestamp: Timestamp) {
        *self.pins.entry(timestamp).or_default() += 1;
    }

    /// Ends one [`RecentCommits::pin`].
    pub fn unpin(&mut self, timestamp: Timestamp) {
        if let Some(count) = self.pins.get_mut(&timestamp) {
            *count -= 1;
            if *count == 0 {
                self.pins.remove(&timestamp);
            }
        }
        // This pin may have been the only reason to keep the oldest commits.
        self.forget();
    }

    /// Returns whether a result with this read set, valid at `timestamp`, is known to be still
    /// valid.
    pub fn leave_valid(&self, reads: &ReadSet, timestamp: Timestamp) -> bool {
        self.first_invalidating(reads, timestamp).is_none()
    }

    /// Returns the timestamp of the first commit after `timestamp` that invalidates the read set. A
    /// forgotten commit may have done so; then this is the earliest possible timestamp.
    pub fn first_invalidating(&self, reads: &ReadSet, timestamp: Timestamp) -> Option<Timestamp> {
        if timestamp < self.forgotten {
            return Some(Timestamp::from_nanos(timestamp.as_nanos() + 1));
        }
        // The commits are in the order of their timestamps.
        let first = self
            .commits
            .partition_point(|commit| commit.timestamp <= timestamp);
        let mut later = self.commits.range(first..);
        later
            .find(|commit| reads.is_invalidated_by(commit))
            .map(|commit| commit.timestamp)
    }
}

#[cfg(test)]
mod tests {
    use crate::index::{IndexId, IndexRef};
    use lentil_values::{IndexKey, Interval, TableNumber};

    use super::*;

    const INDEX: IndexRef = IndexRef::Declared(TableNumber::FIRST_USER, IndexId(1));

    fn commit(nanos: u64, key: u8) -> Arc<Commit> {
        let keys = vec![(INDEX, IndexKey::from_bytes(vec![key]))];
        Arc::new(Commit {
            timestamp: Timestamp::from_nanos(nanos),
            keys,
        })
    }

    fn reads(key: u8) -> ReadSet {
        let mut reads = ReadSet::default();
        reads.add(INDEX, Interval::prefix(&[key]));
        reads
    }

    #[test]
    fn the_first_invalidating_commit_is_found_and_forgotten_commits_may_invalidate() {
        let mut recent = RecentCommits::default();
        let at = Timestamp::from_nanos;
        (1..=10).for_each(|nanos| recent.add(&commit(nanos, (nanos % 2) as u8)));
        assert_eq!(recent.first_invalidating(&reads(1), at(1)), Some(at(3)));
        assert_eq!(recent.first_invalidating(&reads(1), at(9)), None);
        assert_eq!(recent.first_invalidating(&reads(7), at(0)), None);
        (11..=20_000).for_each(|nanos| recent.add(&commit(nanos, 0)));
        assert_eq!(recent.first_invalidating(&reads(7), at(5)), Some(at(6)));
    }

    #[test]
    fn a_read_before_everything_changed_is_invalid() {
        let mut recent = RecentCommits::default();
        let at = Timestamp::from_nanos;
        recent.add(&commit(3, 1));
        recent.pin(at(2));
        recent.forget_all(at(5));
        assert_eq!(recent.first_invalidating(&reads(7), at(4)), Some(at(5)));
        assert!(recent.leave_valid(&reads(7), at(5)));
        recent.add(&commit(6, 7));
        assert_eq!(recent.first_invalidating(&reads(7), at(5)), Some(at(6)));
    }

    #[test]
    fn pinned_commits_are_kept() {
        let mut recent = RecentCommits::default();
        let at = Timestamp::from_nanos;
        recent.pin(at(5));
        (1..=20_000).for_each(|nanos| recent.add(&commit(nanos, 0)));
        assert_eq!(recent.first_invalidating(&reads(7), at(5)), None);
        recent.unpin(at(5));
        assert!(recent.commits.len() <= MAX_COMMITS);
        assert_eq!(recent.first_invalidating(&reads(7), at(5)), Some(at(6)));
    }
}
