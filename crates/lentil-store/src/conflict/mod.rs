//! Conflict detection: which reads a commit invalidates.
//!
//! A [`ReadSet`] records the index intervals that a transaction or a query has read. A commit
//! invalidates it if it wrote a key in one of them. [`IntervalMap`] finds the reads that a commit
//! invalidates; [`RecentCommits`] finds the first commit that invalidates a read.

mod interval_map;
mod read_set;
mod recent_commits;

pub use interval_map::IntervalMap;
pub use read_set::{ReadKind, ReadSet};
pub use recent_commits::RecentCommits;
