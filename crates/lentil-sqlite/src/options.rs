use std::sync::Arc;
use std::time::Duration;

use lentil_store::{Clock, SystemClock};

/// Options of the store; the defaults are for production.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The clock that gives timestamps.
    pub clock: Arc<dyn Clock>,
    /// The timeout of a mutation that waits for the write lock, and of a query that waits for a
    /// connection.
    pub max_wait: Duration,
    /// The maximum number of mutations in a batch, which is one SQLite transaction.
    pub batch_commits: usize,
    /// The approximate maximum size of a batch's documents, in bytes.
    pub batch_bytes: usize,
    /// The maximum age of a batch that other mutations can join.
    pub batch_time: Duration,
    /// The maximum number of concurrent reads, each on its own connection.
    pub readers: usize,
    /// The maximum number of snapshots that are held for later reads, in addition to `readers`.
    pub held_snapshots: usize,
    /// The maximum age of a snapshot. An older one would keep the write-ahead log from restarting.
    pub snapshot_max_age: Duration,
    /// The number of log bytes after which a background checkpoint copies the log into the
    /// database.
    pub checkpoint_bytes: u64,
    /// The log size above which mutations wait until the log can restart. Its file keeps at most
    /// twice this size.
    pub wal_limit: u64,
    /// Whether to open a database from which acknowledged commits are missing.
    pub accept_data_loss: bool,
    /// Whether to open a database whose last commit is far ahead of the clock.
    pub accept_clock_change: bool,
    /// The delay from the start to the first background verification of all documents and index
    /// entries.
    pub verify_delay: Duration,
    /// The interval between later verifications.
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
