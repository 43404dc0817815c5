use std::collections::VecDeque;

use lentil_store::{Commit, Timestamp};

use super::ReadSet;

/// The latest commits: what an answer computed a moment ago is held against before it is kept.
#[derive(Default)]
pub(super) struct RecentCommits {
    commits: VecDeque<Commit>,
    keys: usize,
    /// Commits up to here may have been forgotten.
    forgotten: Timestamp,
}

const MAX_COMMITS: usize = 4_096;
const MAX_KEYS: usize = 65_536;

impl RecentCommits {
    pub(super) fn add(&mut self, commit: Commit) {
        self.keys += commit.keys.len();
        self.commits.push_back(commit);
        while self.commits.len() > MAX_COMMITS || self.keys > MAX_KEYS {
            let Some(oldest) = self.commits.pop_front() else { return };
            self.keys -= oldest.keys.len();
            self.forgotten = oldest.timestamp;
        }
    }

    /// Whether an answer with this read set, computed at `timestamp`, is known to hold still.
    pub(super) fn leave_untouched(&self, reads: &ReadSet, timestamp: Timestamp) -> bool {
        let later = self.commits.iter().rev().take_while(|commit| commit.timestamp > timestamp);
        timestamp >= self.forgotten && later.into_iter().all(|commit| !reads.is_touched_by(commit))
    }
}
