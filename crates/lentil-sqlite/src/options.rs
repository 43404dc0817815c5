use std::sync::Arc;
use std::time::Duration;

use lentil_store::{Clock, SystemClock};

/// How the store works; the defaults are for production.
#[derive(Clone)]
pub struct SqliteOptions {
    /// Where timestamps come from.
    pub clock: Arc<dyn Clock>,
    /// How long a mutation waits for its turn, and a query for a connection.
    pub max_wait: Duration,
    /// Mutations that share one SQLite transaction at most.
    pub batch_commits: usize,
    /// Bytes of documents that one SQLite transaction writes, about.
    pub batch_bytes: usize,
    /// How long a SQLite transaction stays open for others to join.
    pub batch_time: Duration,
    /// Connections that read at the same time at most.
    pub readers: usize,
    /// The most snapshots that are held for later reads at the same time, beside those of `readers`.
    pub held_snapshots: usize,
    /// How long a snapshot can be read; an older one would keep the write-ahead log from being reused.
    pub snapshot_max_age: Duration,
    /// Bytes written after which the write-ahead log is copied into the database in the background.
    pub checkpoint_bytes: u64,
    /// The size of the write-ahead log above which mutations wait until it can begin anew; its file keeps twice that at
    /// most.
    pub wal_limit: u64,
    /// Whether to open a database from which acknowledged commits are missing.
    pub accept_data_loss: bool,
    /// Whether to open a database whose last commit is far ahead of the clock.
    pub accept_clock_change: bool,
    /// The delay from the start to the background verification of all documents and index entries.
    pub verify_delay: Duration,
    /// The interval at which they are verified again.
    pub verify_interval: Duration,
}

impl Default for SqliteOptions {
    fn default() -> SqliteOptions {
        SqliteOptions {
            clock: Arc::new(SystemClock),
            max_wait: Duration::from_secs(10),
            batch_commits: 256,
            batch_bytes: 4 << 20,
            batch_time: Duration::from_millis(2),
            readers: 16,
            held_snapshots: 96,
            snapshot_max_age: Duration::from_secs(30),
            checkpoint_bytes: 4 << 20,
            wal_limit: 32 << 20,
            accept_data_loss: false,
            accept_clock_change: false,
            verify_delay: Duration::from_secs(60),
            verify_interval: Duration::from_secs(24 * 60 * 60),
        }
    }
}
