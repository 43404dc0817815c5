//! Snapshots, the connections they read on, and their timestamps.

pub(crate) mod commit_tracker;
pub(crate) mod reader_pool;
pub(crate) mod snapshot;
