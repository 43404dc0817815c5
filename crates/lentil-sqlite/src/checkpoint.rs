//! Copying the write-ahead log into the database, off the commit path.
//!
//! Every half second a thread looks how much of the log is not copied yet, and copies it beside the mutations, as
//! far as the oldest snapshot allows. SQLite begins the log anew when all of it is copied and nobody reads it, which
//! under steady load is never: then the log grows. Above its limit the committer copies the rest between two batches,
//! while mutations wait, for a moment if snapshots keep it from doing so, and the log begins anew. At twice the limit
//! those snapshots end.
//!
//! ```text
//! size   0 ··········· checkpoint_bytes ··········· wal_limit ··········· 2 × wal_limit
//!          left alone                    copied beside          begun anew              snapshots end, begun anew
//! ```
//!
//! A log that begins anew is written over what the file holds, up to twice the limit, rather than into a file that
//! grows: an fsync of a file that has grown takes nearly twice as long.

use std::sync::Weak;
use std::time::Duration;

use lentil_store::StoreError;
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use crate::connection::{self, BUSY_TIMEOUT};
use crate::error::store_error;
use crate::group_commit::writer::Writer;
use crate::store::Shared;
use crate::wal::frames::LogEnd;
use crate::wal::run_mark;

/// A signal that ends a thread between its steps.
#[derive(Default)]
pub(crate) struct Ticker {
    is_stopped: Mutex<bool>,
    changed: Condvar,
}

/// How often old snapshots and the log's size are looked at.
const TICK: Duration = Duration::from_millis(500);
/// The time for which a held snapshot can be read while the log is above its limit.
///
/// Snapshots that are held one after another would otherwise prevent the log from restarting, up to twice the
/// limit, where the snapshots of short reads end too.
const HELD_ABOVE_LIMIT: Duration = Duration::from_secs(5);
/// How long mutations wait at a tick for snapshots to end, so that a log above its limit can begin anew.
const PATIENCE: Duration = Duration::from_millis(50);

impl Ticker {
    pub(crate) fn stop(&self) {
        *self.is_stopped.lock() = true;
        self.changed.notify_all();
    }

    /// Waits this long; returns false when the thread must end.
    pub(crate) fn wait(&self, duration: Duration) -> bool {
        let mut is_stopped = self.is_stopped.lock();
        if !*is_stopped {
            self.changed.wait_for(&mut is_stopped, duration);
        }
        !*is_stopped
    }
}

/// Looks after the log and old snapshots until the store is closed or gone.
///
/// The connection is open all the while, so that the writer's is never the last one when it has to be replaced: SQLite
/// removes the log with the last connection.
pub(crate) fn run(
    ticker: &Ticker,
    shared: &Weak<Shared>,
    mut conn: Connection,
) -> Result<(), StoreError> {
    let mut copied = 0;
    while ticker.wait(TICK) {
        let Some(shared) = shared.upgrade() else {
            break;
        };
        shared.pool.expire(shared.options.snapshot_max_age);
        shared.pool.rest();
        match look_after(&shared, &conn, copied) {
            Ok(now) => copied = now,
            Err(error) => {
                tracing::warn!(%error, "a checkpoint failed; the next one retries");
                // The old connection is closed last: without any connection SQLite would remove the log.
                if let Ok(fresh) = connection::writer(&shared.path) {
                    conn = fresh;
                }
            }
        }
    }
    Ok(())
}

/// Copies the log if there is enough to copy; returns how many frames of it are copied now, `copied` of them before.
fn look_after(shared: &Shared, conn: &Connection, copied: u32) -> Result<u32, StoreError> {
    let log = checkpoint(conn, "NOOP")?;
    if log.copied_frames != copied {
        // Another program has made a checkpoint, or the log was begun again.
        shared.writer.blocking_lock().checkpoints().note_end();
    }
    if log.bytes - log.copied < shared.options.checkpoint_bytes {
        return Ok(log.copied_frames);
    }
    shared.writer.blocking_lock().checkpoints().begin();
    let done = checkpoint(conn, "PASSIVE");
    let copied = done.as_ref().map_or(0, |log| log.copied_frames);
    shared.writer.blocking_lock().checkpoints().end(copied);
    let log = done?;
    let limit = shared.options.wal_limit;
    if log.bytes > limit {
        shared.pool.expire_held(HELD_ABOVE_LIMIT);
        let is_twice = log.bytes > limit.saturating_mul(2);
        if is_twice {
            shared.pool.expire(Duration::ZERO);
        }
        shared
            .signal
            .restart_log(if is_twice { 10 * PATIENCE } else { PATIENCE });
    }
    Ok(log.copied_frames)
}

/// The state of checkpoints that commits depend on.
///
/// A commit raises the ceiling of timestamps when the database may have got the last ceiling without it: in the first
/// commit after a checkpoint, and in each one beside it. So the ceiling of a database without its log shows that it
/// lacks a commit (see `acknowledged`). The start of a checkpoint is noted under the writer's lock, so that every COMMIT
/// knows of a checkpoint beside it.
#[derive(Default)]
pub(crate) struct Checkpoints {
    is_running: bool,
    has_ended: bool,
    /// The salts of the log at the last commit, and when the running checkpoint began.
    salts: [u8; 8],
    begun_with: [u8; 8],
    /// The number of frames of that log that are known to be copied.
    copied: u32,
}

impl Checkpoints {
    fn begin(&mut self) {
        self.is_running = true;
        self.begun_with = self.salts;
    }

    fn end(&mut self, copied: u32) {
        self.is_running = false;
        self.note_end();
        if self.begun_with == self.salts {
            self.copied = copied;
        }
    }

    /// Notes that a checkpoint has ended that was not announced.
    pub(crate) fn note_end(&mut self) {
        self.has_ended = true;
    }

    /// Returns whether a commit made now must raise the ceiling.
    pub(crate) fn raise_ceiling(&self) -> bool {
        self.is_running || self.has_ended
    }

    pub(crate) fn ceiling_was_raised(&mut self) {
        self.has_ended = false;
    }

    /// Returns how many frames of the log that ends at a commit are known to be in the database.
    pub(crate) fn copied(&mut self, end: &LogEnd) -> u32 {
        if self.salts != end.salts {
            self.salts = end.salts;
            self.copied = 0;
        }
        self.copied
    }
}

/// The write-ahead log, in bytes: what it holds, and how much of that is in the database too.
struct Log {
    bytes: u64,
    copied: u64,
    copied_frames: u32,
}

fn checkpoint(conn: &Connection, mode: &str) -> Result<Log, StoreError> {
    let frames = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let (frames, copied) = conn.query_row(&sql, [], frames).map_err(store_error)?;
    let page: i64 = conn
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .map_err(store_error)?;
    let bytes = |frames: i64| frames.max(0).saturating_mul(page) as u64;
    Ok(Log {
        bytes: bytes(frames),
        copied: bytes(copied).min(bytes(frames)),
        copied_frames: u32::try_from(copied).unwrap_or(0),
    })
}

/// Copies all of the log, if the snapshots that read it end in time: the next commit begins it anew, in a file of
/// twice `limit` bytes at most.
pub(crate) fn restart_log(writer: &mut Writer, limit: u64, at_most: Duration) {
    writer.checkpoints().note_end();
    let restarted = writer.conn().and_then(|conn| {
        let size = i64::try_from(limit.saturating_mul(2)).unwrap_or(i64::MAX);
        conn.pragma_update_and_check(None, "journal_size_limit", size, |_| Ok(()))
            .map_err(store_error)?;
        conn.busy_timeout(at_most).map_err(store_error)?;
        checkpoint(conn, "RESTART")?;
        conn.busy_timeout(BUSY_TIMEOUT).map_err(store_error)
    });
    if let Err(error) = restarted {
        tracing::warn!(%error, "the write-ahead log could not begin anew; the next tick tries again");
    }
}

/// Copies all of the log, unless another connection still reads it; returns whether that succeeded.
///
/// In the mode `FULL` it waits for them, and in the mode `PASSIVE` it does not.
pub(crate) fn copy_all(conn: &Connection, mode: &str) -> Result<bool, StoreError> {
    let log = checkpoint(conn, mode)?;
    Ok(log.copied == log.bytes)
}

/// Copies all of the log and empties it, unless someone still reads it.
pub(crate) fn empty_log(writer: &mut Writer) -> Result<(), StoreError> {
    let wal = writer.wal();
    let conn = writer.conn()?;
    if copy_all(conn, "FULL")? {
        // Before the log goes, for otherwise a crash in between would look like a loss.
        wal.claim_nothing()
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        checkpoint(conn, "TRUNCATE")?;
        run_mark::end(writer.path()).map_err(|error| StoreError::Failed(error.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(salts: [u8; 8]) -> LogEnd {
        LogEnd {
            salts,
            ..LogEnd::default()
        }
    }

    #[test]
    fn the_ceiling_is_raised_beside_a_checkpoint_and_once_after_it() {
        let mut checkpoints = Checkpoints::default();
        assert!(!checkpoints.raise_ceiling());
        checkpoints.begin();
        for _ in 0..2 {
            assert!(checkpoints.raise_ceiling(), "a checkpoint is running");
            checkpoints.ceiling_was_raised();
        }
        checkpoints.end(3);
        assert!(checkpoints.raise_ceiling(), "a checkpoint has ended");
        checkpoints.ceiling_was_raised();
        assert!(!checkpoints.raise_ceiling());
        checkpoints.note_end();
        assert!(checkpoints.raise_ceiling());
    }

    #[test]
    fn frames_are_copied_as_long_as_the_log_is_not_begun_again() {
        let mut checkpoints = Checkpoints::default();
        assert_eq!(checkpoints.copied(&end([1; 8])), 0);
        checkpoints.begin();
        checkpoints.end(7);
        assert_eq!(checkpoints.copied(&end([1; 8])), 7);
        assert_eq!(checkpoints.copied(&end([2; 8])), 0);
        checkpoints.begin();
        assert_eq!(checkpoints.copied(&end([3; 8])), 0);
        checkpoints.end(9);
        assert_eq!(
            checkpoints.copied(&end([3; 8])),
            0,
            "these were of the log before"
        );
    }
}
