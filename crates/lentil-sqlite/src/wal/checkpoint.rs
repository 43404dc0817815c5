//! Checkpoints: copying the write-ahead log into the database.

use std::time::Duration;

use lentil_store::StoreError;
use rusqlite::Connection;

use super::frames::LogEnd;
use crate::connection::BUSY_TIMEOUT;
use crate::error::store_error;

/// The mode of a checkpoint, as SQLite names it.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    /// Copies nothing, and reports the log's size.
    Noop,
    /// Copies as far as the oldest snapshot allows, without waiting.
    Passive,
    /// Waits for writers and readers, then copies the whole log.
    Full,
    /// As `Full`, and lets the next commit restart the log.
    Restart,
    /// As `Restart`, and truncates the log.
    Truncate,
}

/// The size of the write-ahead log, and the part that the database holds too.
pub(crate) struct LogSize {
    pub(crate) bytes: u64,
    pub(crate) copied: u64,
    pub(crate) copied_frames: u32,
}

/// Runs a checkpoint; returns the size of the log afterwards.
pub(crate) fn checkpoint(conn: &Connection, mode: Mode) -> Result<LogSize, StoreError> {
    let pragma = match mode {
        Mode::Noop => "PRAGMA wal_checkpoint(NOOP)",
        Mode::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Mode::Full => "PRAGMA wal_checkpoint(FULL)",
        Mode::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Mode::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    let (frames, copied) = conn
        .query_row(pragma, [], |row| Ok((row.get(1)?, row.get::<_, i64>(2)?)))
        .map_err(store_error)?;
    let page_size: i64 = conn
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .map_err(store_error)?;
    // SQLite reports -1 if the database is not in WAL mode.
    let bytes = |frames: i64| frames.max(0).saturating_mul(page_size) as u64;
    Ok(LogSize {
        bytes: bytes(frames),
        copied: bytes(copied).min(bytes(frames)),
        copied_frames: u32::try_from(copied).unwrap_or(0),
    })
}

/// Copies the whole log, unless another connection reads it; returns whether that succeeded.
pub(crate) fn copy_all(conn: &Connection, mode: Mode) -> Result<bool, StoreError> {
    let log = checkpoint(conn, mode)?;
    Ok(log.copied == log.bytes)
}

/// Copies the whole log if the snapshots that read it end within `timeout`. The next commit then
/// restarts the log, in a file of at most twice `limit` bytes.
pub(crate) fn restart_log(
    conn: &Connection,
    limit: u64,
    timeout: Duration,
) -> Result<(), StoreError> {
    let size = i64::try_from(limit.saturating_mul(2)).unwrap_or(i64::MAX);
    conn.pragma_update_and_check(None, "journal_size_limit", size, |_| Ok(()))
        .map_err(store_error)?;
    // Mutations wait for this, so the wait is shorter than for another program's lock.
    conn.busy_timeout(timeout).map_err(store_error)?;
    checkpoint(conn, Mode::Restart)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(store_error)
}

/// The state of checkpoints that commits depend on.
///
/// A commit extends the timestamp lease if a checkpoint may have copied the last lease into the
/// database without that commit: in the first commit after a checkpoint, and in each commit during
/// one. So the lease of a database without its log shows that it lacks a commit (see
/// `acknowledged`).
///
/// The start of a checkpoint is recorded under the writer's mutex, so that every COMMIT knows
/// whether a checkpoint runs beside it.
#[derive(Default)]
pub(crate) struct CheckpointState {
    is_running: bool,
    has_ended: bool,
    /// The salts of the log at the last commit.
    salts: [u8; 8],
    /// The salts of the log when the running checkpoint started.
    started_with: [u8; 8],
    /// The number of frames of that log that are known to be in the database.
    copied: u32,
}

impl CheckpointState {
    /// Records that a checkpoint starts.
    pub(crate) fn start(&mut self) {
        debug_assert!(!self.is_running, "one thread runs checkpoints");
        self.is_running = true;
        self.started_with = self.salts;
    }

    /// Records that the checkpoint has copied this many frames.
    pub(crate) fn end(&mut self, copied: u32) {
        self.is_running = false;
        self.note_other_end();
        // The frames of a log that was restarted meanwhile are not the copied ones.
        if self.started_with == self.salts {
            self.copied = copied;
        }
    }

    /// Records the end of a checkpoint whose start was not recorded, such as another program's.
    pub(crate) fn note_other_end(&mut self) {
        self.has_ended = true;
    }

    /// Returns whether a commit made now must extend the timestamp lease.
    pub(crate) fn requires_lease(&self) -> bool {
        self.is_running || self.has_ended
    }

    /// Records that a commit has extended the timestamp lease.
    pub(crate) fn lease_extended(&mut self) {
        self.has_ended = false;
    }

    /// Returns how many frames of the log that ends here are known to be in the database.
    pub(crate) fn copied(&mut self, end: &LogEnd) -> u32 {
        if self.salts != end.salts {
            self.salts = end.salts;
            self.copied = 0;
        }
        self.copied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_with(salts: [u8; 8]) -> LogEnd {
        LogEnd {
            salts,
            ..LogEnd::default()
        }
    }

    #[test]
    fn lease_is_required_during_a_checkpoint_and_once_after_it() {
        let mut checkpoints = CheckpointState::default();
        assert!(!checkpoints.requires_lease());
        checkpoints.start();
        for _ in 0..2 {
            assert!(checkpoints.requires_lease(), "a checkpoint runs");
            checkpoints.lease_extended();
        }
        checkpoints.end(3);
        assert!(checkpoints.requires_lease(), "a checkpoint has ended");
        checkpoints.lease_extended();
        assert!(!checkpoints.requires_lease());
        checkpoints.note_other_end();
        assert!(checkpoints.requires_lease());
    }

    #[test]
    fn copied_frames_count_until_the_log_restarts() {
        let mut checkpoints = CheckpointState::default();
        assert_eq!(checkpoints.copied(&log_with([1; 8])), 0);
        checkpoints.start();
        checkpoints.end(7);
        assert_eq!(checkpoints.copied(&log_with([1; 8])), 7);
        assert_eq!(checkpoints.copied(&log_with([2; 8])), 0);
        checkpoints.start();
        assert_eq!(checkpoints.copied(&log_with([3; 8])), 0);
        checkpoints.end(9);
        assert_eq!(
            checkpoints.copied(&log_with([3; 8])),
            0,
            "the copied frames were of the log before"
        );
    }
}
