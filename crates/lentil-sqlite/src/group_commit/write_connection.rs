use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lentil_store::StoreError;
use rusqlite::Connection;

use crate::connection::{self, BUSY_TIMEOUT, run};
use crate::error::{failed_io, store_error};
use crate::tables::format;
use crate::wal::checkpoint::{self, Mode};
use crate::wal::frames::LogEnd;
use crate::wal::log::Wal;
use crate::wal::run_mark;

/// The only connection that writes, with the log to which it writes.
pub(crate) struct WriteConnection {
    path: PathBuf,
    /// `None` after an abort, until the connection is needed again.
    conn: Option<Connection>,
    wal: Arc<Wal>,
    /// The number of frames in the log after the connection's last commit.
    frames: Arc<AtomicU32>,
    /// SQLite's number for the state of the database, which other connections' commits change.
    /// `None` if such a commit may have been missed.
    data_version: Option<i64>,
    is_closed: bool,
}

impl WriteConnection {
    pub(crate) fn new(
        path: PathBuf,
        mut conn: Connection,
        wal: Wal,
    ) -> rusqlite::Result<WriteConnection> {
        let frames = connection::count_frames(&mut conn)?;
        Ok(WriteConnection {
            path,
            data_version: Some(connection::data_version(&conn)?),
            conn: Some(conn),
            wal: Arc::new(wal),
            frames,
            is_closed: false,
        })
    }

    pub(super) fn is_open(&self) -> bool {
        self.conn.is_some()
    }

    /// Returns the connection.
    ///
    /// # Errors
    /// [`StoreError::Closed`] if it is not open.
    pub(super) fn get(&self) -> Result<&Connection, StoreError> {
        self.conn.as_ref().ok_or(StoreError::Closed)
    }

    /// Returns the connection, which must be open.
    pub(super) fn get_open(&self) -> &Connection {
        self.conn
            .as_ref()
            .expect("a batch is open on it, or it has just been used")
    }

    /// Returns whether a transaction is open on the connection.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.conn.as_ref().is_some_and(|conn| !conn.is_autocommit())
    }

    /// Opens a new connection after an abort.
    ///
    /// # Errors
    /// [`StoreError::Closed`] after [`WriteConnection::close`].
    pub(super) fn reopen(&mut self) -> Result<(), StoreError> {
        if self.is_closed {
            return Err(StoreError::Closed);
        }
        let mut conn = connection::writer(&self.path).map_err(store_error)?;
        // SQLite opens the log with the first read.
        format::read_version(&conn).map_err(store_error)?;
        connection::disable_commit_fsync(&conn).map_err(store_error)?;
        self.frames = connection::count_frames(&mut conn).map_err(store_error)?;
        let wal = Wal::of(&conn, &self.path, self.wal.notes()).map_err(failed_io)?;
        // The old guard checks that the new connection has opened the same files.
        self.wal.check_files();
        self.wal = Arc::new(wal);
        self.data_version = None;
        self.conn = Some(conn);
        Ok(())
    }

    /// Closes the connection, until it is reopened.
    pub(super) fn disconnect(&mut self) {
        self.conn = None;
    }

    /// Rolls back the open transaction. Closes the connection if that fails.
    pub(super) fn roll_back(&mut self) {
        if self.is_in_transaction() && run(self.get_open(), "ROLLBACK").is_err() {
            self.conn = None;
        }
    }

    /// Returns the log that has the connection's commits.
    pub(super) fn wal(&self) -> Arc<Wal> {
        Arc::clone(&self.wal)
    }

    /// Returns the end of the connection's last commit in the log.
    pub(super) fn log_end(&self) -> LogEnd {
        // Relaxed: SQLite calls the hook that counts frames on the committing thread, under the
        // writer's mutex.
        self.wal.end(self.frames.load(Ordering::Relaxed))
    }

    /// Ends the process if a file of the database was removed or replaced.
    pub(super) fn check_files(&self) {
        self.wal.check_files();
    }

    /// Returns whether another program has, or may have, committed since
    /// [`accept_outside_changes`](WriteConnection::accept_outside_changes).
    pub(super) fn is_changed_outside(&self) -> Result<bool, StoreError> {
        let version = connection::data_version(self.get()?).map_err(store_error)?;
        Ok(self.data_version != Some(version))
    }

    /// Accepts the state of the database as the base of later checks.
    pub(super) fn accept_outside_changes(&mut self) -> rusqlite::Result<()> {
        self.data_version = Some(connection::data_version(self.get_open())?);
        Ok(())
    }

    /// Copies the whole log into the database and empties it, unless another connection reads it.
    /// Then closes.
    ///
    /// If the log cannot be emptied, the notes keep describing it for the next start.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        if !self.is_open() {
            self.reopen()?;
        }
        let emptied = self.empty_log();
        self.is_closed = true;
        self.conn = None;
        emptied
    }

    fn empty_log(&self) -> Result<(), StoreError> {
        let conn = self.get()?;
        if !checkpoint::copy_all(conn, Mode::Full)? {
            return Ok(());
        }
        // Before the log is truncated: after a crash in between, the notes would report its commits
        // as missing.
        self.wal.claim_nothing().map_err(failed_io)?;
        checkpoint::checkpoint(conn, Mode::Truncate)?;
        run_mark::end(&self.path).map_err(failed_io)
    }
}

/// Begins a transaction that writes. It does not wait for another program, because it runs on a
/// tokio worker.
pub(super) fn begin(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(Duration::ZERO)?;
    let began = run(conn, "BEGIN IMMEDIATE");
    conn.busy_timeout(BUSY_TIMEOUT)?;
    began
}
