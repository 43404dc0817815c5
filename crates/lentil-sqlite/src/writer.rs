use std::time::Instant;

use lentil_store::{Commit, StoreError, Timestamp, WriteSet};
use rusqlite::Connection;
use tokio::sync::watch;

use crate::error::store_error;
use crate::{SqliteOptions, rows};

/// The one connection that writes, and the batch that is open on it.
pub(crate) struct Writer {
    pub(crate) conn: Connection,
    /// Counts the batches that were lost: what a transaction read before is then not to be trusted.
    pub(crate) epoch: u64,
    pub(crate) batch: Option<Batch>,
    /// The last timestamp handed out, durable or not.
    pub(crate) last: Timestamp,
}

/// Mutations that share one SQLite transaction, and its outcome.
pub(crate) struct Batch {
    pub(crate) began: Instant,
    pub(crate) commits: Vec<Commit>,
    pub(crate) bytes: usize,
    pub(crate) outcome: watch::Sender<Option<Outcome>>,
}

/// What became of a batch: durable and published, or lost and why.
pub(crate) type Outcome = Result<(), String>;

impl Writer {
    /// Applies a write set in the open batch, beginning one if there is none. A failure undoes just this write set.
    pub(crate) fn apply(&mut self, writes: &WriteSet, now: Timestamp) -> Result<Timestamp, StoreError> {
        if self.batch.is_none() {
            self.conn.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([])).map_err(store_error)?;
            let (outcome, _) = watch::channel(None);
            self.batch = Some(Batch { began: Instant::now(), commits: Vec::new(), bytes: 0, outcome });
        }
        let bytes = self.in_savepoint(|conn| rows::apply(conn, writes)).map_err(store_error)?;
        let timestamp = self.last.next(now);
        self.last = timestamp;
        let batch = self.batch.as_mut().expect("a batch was begun");
        let keys = writes.keys().map(|(index, key)| (index, key.clone())).collect();
        batch.commits.push(Commit { timestamp, keys });
        batch.bytes += bytes;
        Ok(timestamp)
    }

    fn in_savepoint<T>(&self, change: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let run = |sql| self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map(drop);
        run("SAVEPOINT one")?;
        let changed = change(&self.conn);
        if changed.is_err() && !self.conn.is_autocommit() {
            run("ROLLBACK TO one")?;
        }
        if !self.conn.is_autocommit() {
            run("RELEASE one")?;
        }
        changed
    }

    /// Whether SQLite has ended the batch's transaction by itself, as it does when the disk is full.
    pub(crate) fn has_lost_batch(&self) -> bool {
        self.batch.is_some() && self.conn.is_autocommit()
    }
}

impl Batch {
    pub(crate) fn is_full(&self, options: &SqliteOptions) -> bool {
        self.commits.len() >= options.batch_commits
            || self.bytes >= options.batch_bytes
            || self.began.elapsed() >= options.batch_time
    }
}
