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
use crate::store::Shared;
use crate::writer::Writer;

/// What ends the thread.
#[derive(Default)]
pub(crate) struct Ticker {
    is_stopped: Mutex<bool>,
    changed: Condvar,
}

/// How often old snapshots and the log's size are looked at.
const TICK: Duration = Duration::from_millis(500);
/// How long mutations wait at a tick for snapshots to end, so that a log above its limit can begin anew.
const PATIENCE: Duration = Duration::from_millis(50);

impl Ticker {
    pub(crate) fn stop(&self) {
        *self.is_stopped.lock() = true;
        self.changed.notify_one();
    }

    /// Waits for the next tick; false when the thread is to end.
    fn tick(&self) -> bool {
        let mut is_stopped = self.is_stopped.lock();
        if !*is_stopped {
            self.changed.wait_for(&mut is_stopped, TICK);
        }
        !*is_stopped
    }
}

/// Looks after the log and old snapshots until the store is closed or gone.
pub(crate) fn run(ticker: &Ticker, shared: &Weak<Shared>) -> Result<(), StoreError> {
    let mut conn = None;
    while ticker.tick() {
        let Some(shared) = shared.upgrade() else {
            break;
        };
        shared.pool.expire(shared.options.snapshot_max_age);
        shared.pool.rest();
        if let Err(error) = look_after(&shared, &mut conn) {
            tracing::warn!(%error, "a checkpoint failed; the next one goes on");
            conn = None;
        }
    }
    Ok(())
}

fn look_after(shared: &Shared, conn: &mut Option<Connection>) -> Result<(), StoreError> {
    if conn.is_none() {
        *conn = Some(connection::writer(&shared.path).map_err(store_error)?);
    }
    let conn = conn.as_ref().expect("it was just opened");
    let log = checkpoint(conn, "NOOP")?;
    if log.bytes - log.copied < shared.options.checkpoint_bytes {
        return Ok(());
    }
    let log = checkpoint(conn, "PASSIVE")?;
    let limit = shared.options.wal_limit;
    if log.bytes > limit {
        let is_twice = log.bytes > limit.saturating_mul(2);
        if is_twice {
            shared.pool.expire(Duration::ZERO);
        }
        shared
            .signal
            .restart_log(if is_twice { 10 * PATIENCE } else { PATIENCE });
    }
    Ok(())
}

/// The write-ahead log, in bytes: what it holds, and how much of that is in the database too.
struct Log {
    bytes: u64,
    copied: u64,
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
    })
}

/// Copies all of the log, if the snapshots that read it end in time: the next commit begins it anew, in a file of
/// twice `limit` bytes at most.
pub(crate) fn restart_log(writer: &mut Writer, limit: u64, at_most: Duration) {
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

/// Copies all of the log and empties it, unless someone still reads it.
pub(crate) fn truncate(conn: &Connection) -> Result<(), StoreError> {
    checkpoint(conn, "TRUNCATE").map(drop)
}
