use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lentil_store::{Commit, StoreError, Timestamp, WriteSet};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::watch;

use crate::connection::{self, BUSY_TIMEOUT, run};
use crate::error::store_error;
use crate::{SqliteOptions, format, rows};

/// The one connection that writes, and the batch that is open on it.
pub(crate) struct Writer {
    path: PathBuf,
    /// `None` after a batch was lost, until it is needed again.
    conn: Option<Connection>,
    is_closed: bool,
    /// Counts the batches that were lost: what a transaction read before is then not to be trusted.
    pub(crate) epoch: u64,
    pub(crate) batch: Option<Batch>,
    /// The last commit that is applied and not lost: what a transaction that begins now sees.
    pub(crate) applied: Timestamp,
    /// The last commit that is durable.
    pub(crate) durable: Timestamp,
    /// The last timestamp handed out; a lost commit's is not handed out again.
    allotted: Timestamp,
}

/// Mutations that share one SQLite transaction, and its outcome.
pub(crate) struct Batch {
    pub(crate) began: Instant,
    pub(crate) commits: Vec<Arc<Commit>>,
    pub(crate) bytes: usize,
    pub(crate) outcome: watch::Sender<Option<Outcome>>,
}

/// What became of a batch: durable and published, or lost and why.
pub(crate) type Outcome = Result<(), String>;

impl Writer {
    pub(crate) fn new(path: PathBuf, conn: Connection, last: Timestamp) -> Writer {
        let (conn, batch) = (Some(conn), None);
        Writer { path, conn, is_closed: false, epoch: 0, batch, applied: last, durable: last, allotted: last }
    }

    /// The connection, opened anew if it was given up.
    pub(crate) fn conn(&mut self) -> Result<&Connection, StoreError> {
        if self.is_closed {
            return Err(StoreError::Closed);
        }
        if self.conn.is_none() {
            self.conn = Some(connection::writer(&self.path).map_err(store_error)?);
        }
        Ok(self.conn.as_ref().expect("it was just opened"))
    }

    /// Begins a batch if none is open; false while another program is writing.
    ///
    /// It does not wait for that program: this runs where other tasks run too.
    pub(crate) fn begin_batch(&mut self) -> Result<bool, StoreError> {
        if self.batch.is_some() {
            return Ok(true);
        }
        let conn = self.conn()?;
        conn.busy_timeout(Duration::ZERO).map_err(store_error)?;
        let began = run(conn, "BEGIN IMMEDIATE");
        conn.busy_timeout(BUSY_TIMEOUT).map_err(store_error)?;
        match began {
            Ok(()) => self.batch = Some(Batch::begin()),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => return Ok(false),
            Err(error) => return Err(store_error(error)),
        }
        Ok(true)
    }

    /// Applies a write set in the open batch. A failure undoes just this write set, unless SQLite gave up the batch
    /// ([`Writer::has_lost_batch`]).
    pub(crate) fn apply(&mut self, writes: &WriteSet, now: Timestamp) -> rusqlite::Result<Timestamp> {
        let conn = self.conn.as_ref().expect("a batch is open on it");
        let bytes = in_savepoint(conn, |conn| rows::apply(conn, writes))?;
        self.allotted = self.allotted.next(now);
        self.applied = self.allotted;
        let timestamp = self.applied;
        let batch = self.batch.as_mut().expect("a batch was begun");
        let keys = writes.keys().map(|(index, key)| (index, key.clone())).collect();
        batch.commits.push(Arc::new(Commit { timestamp, keys }));
        batch.bytes += bytes;
        Ok(timestamp)
    }

    /// Makes what the open batch applied durable: one fsync for all of it.
    pub(crate) fn commit(&mut self) -> rusqlite::Result<()> {
        let conn = self.conn.as_ref().expect("a batch is open on it");
        format::write_timestamp(conn, self.applied)?;
        run(conn, "COMMIT")?;
        self.durable = self.applied;
        Ok(())
    }

    /// Whether SQLite has ended the batch's transaction by itself, as it does when the disk is full.
    pub(crate) fn has_lost_batch(&self) -> bool {
        self.batch.is_some() && self.conn.as_ref().is_none_or(Connection::is_autocommit)
    }

    /// Ends a batch that nothing was applied to.
    pub(crate) fn end_empty_batch(&mut self) {
        if self.batch.take_if(|batch| batch.commits.is_empty()).is_some() {
            self.roll_back();
        }
    }

    /// Gives the open batch up, and the connection with it; what is durable is what there is.
    pub(crate) fn give_up(&mut self) -> Option<Batch> {
        self.epoch += 1;
        self.applied = self.durable;
        self.roll_back();
        self.conn = None;
        self.batch.take()
    }

    fn roll_back(&mut self) {
        let conn = self.conn.as_ref().filter(|conn| !conn.is_autocommit());
        if conn.is_some_and(|conn| run(conn, "ROLLBACK").is_err()) {
            self.conn = None;
        }
    }

    /// Closes the connection; the one that is last to close copies the log into the database.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.conn = None;
    }
}

/// Makes a change, or undoes it and nothing else. If even that fails, all that is not yet committed is undone.
fn in_savepoint<T>(conn: &Connection, change: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    run(conn, "SAVEPOINT one")?;
    let changed = change(conn).and_then(|changed| run(conn, "RELEASE one").map(|()| changed));
    if changed.is_err() && !conn.is_autocommit() {
        let undone = run(conn, "ROLLBACK TO one").and_then(|()| run(conn, "RELEASE one"));
        if undone.is_err() {
            // Whether this fails too shows in `is_autocommit`; the connection is then given up.
            let _ = run(conn, "ROLLBACK");
        }
    }
    changed
}

impl Batch {
    fn begin() -> Batch {
        let (outcome, _) = watch::channel(None);
        Batch { began: Instant::now(), commits: Vec::new(), bytes: 0, outcome }
    }

    pub(crate) fn is_full(&self, options: &SqliteOptions) -> bool {
        self.commits.len() >= options.batch_commits
            || self.bytes >= options.batch_bytes
            || self.began.elapsed() >= options.batch_time
    }
}
