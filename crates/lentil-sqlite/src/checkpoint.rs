//! Copying the write-ahead log into the database, off the commit path.

use std::fs;
use std::path::Path;
use std::sync::Weak;
use std::time::Duration;

use lentil_store::StoreError;
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use crate::error::store_error;
use crate::open;
use crate::store::Shared;

/// How much has been written since the last checkpoint; what wakes the thread.
#[derive(Default)]
pub(crate) struct Written {
    state: Mutex<WrittenState>,
    changed: Condvar,
}

#[derive(Default)]
struct WrittenState {
    bytes: u64,
    stop: bool,
}

/// How often old snapshots and the log's size are looked at.
const TICK: Duration = Duration::from_millis(500);
/// How long mutations wait for a log that is too large, at a time.
const DEADLINE: Duration = Duration::from_millis(500);

impl Written {
    pub(crate) fn add(&self, bytes: u64) {
        self.state.lock().bytes += bytes;
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_one();
    }

    /// Waits for the next tick; `None` when the thread is to end, else what was written since the last.
    fn tick(&self) -> Option<u64> {
        let mut state = self.state.lock();
        if !state.stop {
            self.changed.wait_for(&mut state, TICK);
        }
        if state.stop { None } else { Some(state.bytes) }
    }
}

/// Looks after the log and old snapshots until the store is closed or gone.
pub(crate) fn run(written: &Written, shared: &Weak<Shared>) {
    let mut conn = None;
    while let Some(bytes) = written.tick() {
        let Some(shared) = shared.upgrade() else { return };
        shared.pool.expire(shared.options.snapshot_max_age);
        if bytes >= shared.options.checkpoint_bytes {
            written.state.lock().bytes -= bytes;
            if let Err(error) = checkpoint(&shared, &mut conn) {
                tracing::warn!(%error, "a checkpoint failed; the next one goes on");
                conn = None;
            }
        }
    }
}

fn checkpoint(shared: &Shared, conn: &mut Option<Connection>) -> rusqlite::Result<()> {
    if conn.is_none() {
        *conn = Some(open::writer(&shared.path)?);
    }
    let conn = conn.as_ref().expect("it was just opened");
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    if wal_size(&shared.path) > shared.options.wal_limit {
        // With the connection in hand no batch is open, and none begins before the log is empty.
        let writer = shared.writer.blocking_lock();
        if writer.batch.is_none() {
            conn.busy_timeout(DEADLINE)?;
            conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
    }
    Ok(())
}

fn wal_size(path: &Path) -> u64 {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    fs::metadata(wal).map_or(0, |metadata| metadata.len())
}

/// Copies all of the log and empties it: what is left is one file.
pub(crate) fn empty_wal(conn: &Connection) -> Result<(), StoreError> {
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(store_error)
}
