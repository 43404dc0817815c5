//! Snapshots: the connections that they read on, and the commits that they contain.

mod commit_tracker;
mod reader_pool;
mod snapshot;

pub(crate) use commit_tracker::{CommitProbe, CommitTracker};
pub(crate) use reader_pool::{Purpose, ReaderPool};
pub(crate) use snapshot::SqliteSnapshot;
