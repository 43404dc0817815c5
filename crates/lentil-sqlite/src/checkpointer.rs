//! Checkpoints in the background, which keep the write-ahead log small.
//!
//! Every half second a thread checks how much of the log is not in the database yet. It copies that
//! part beside running mutations, as far as the oldest snapshot allows. SQLite restarts the log
//! when all of it is copied and nobody reads it. Under steady load that never happens, and the log
//! grows. Above its limit the committer copies the rest between two batches while mutations wait,
//! and the log restarts. If snapshots prevent that, mutations continue after a moment. At twice the
//! limit these snapshots end.
//!
//! ```text
//! size of the log          action
//! from 0                   none
//! from checkpoint_bytes    it is copied beside mutations
//! from wal_limit           it is restarted between two batches
//! from 2 × wal_limit       snapshots end, and it is restarted
//! ```
//!
//! A restarted log overwrites its file, of which up to twice the limit is kept. An fsync of a file
//! that grows takes nearly twice as long.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lentil_store::StoreError;
use rusqlite::Connection;

use crate::connection;
use crate::group_commit::GroupCommit;
use crate::snapshots::ReaderPool;
use crate::stop_signal::StopSignal;
use crate::wal::checkpoint::{Mode, checkpoint};

/// The interval at which the thread checks the log and old snapshots.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// The time for which a held snapshot can be read while the log is above its limit.
///
/// A series of held snapshots would otherwise keep the log from restarting. At twice the limit the
/// snapshots of short reads would end too.
const HELD_SNAPSHOT_TIMEOUT_ABOVE_LIMIT: Duration = Duration::from_secs(5);
/// How long mutations wait for snapshots to end, so that a log above its limit can restart.
const RESTART_TIMEOUT: Duration = Duration::from_millis(50);

/// The thread that runs checkpoints and ends old snapshots.
///
/// Its connection is always open, so that the writer's connection is never the last one when an
/// abort closes it: SQLite removes the log with the last connection.
pub(crate) struct Checkpointer {
    pub(crate) path: PathBuf,
    pub(crate) conn: Connection,
    pub(crate) group_commit: Arc<GroupCommit>,
    pub(crate) readers: Arc<ReaderPool>,
    pub(crate) snapshot_max_age: Duration,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) wal_limit: u64,
    /// The number of frames of the log that the last check found in the database.
    pub(crate) copied_frames: u32,
}

impl Checkpointer {
    /// Runs until the store closes.
    pub(crate) fn run(mut self, stop: &StopSignal) -> Result<(), StoreError> {
        while stop.wait(CHECK_INTERVAL) {
            self.readers.expire(self.snapshot_max_age);
            self.readers.release_idle_snapshots();
            if let Err(error) = self.check_log() {
                tracing::warn!(%error, "a checkpoint failed; the next one retries");
                // The assignment closes the old connection after the new one is open, so one is
                // always open.
                if let Ok(new) = connection::writer(&self.path) {
                    self.conn = new;
                }
            }
        }
        Ok(())
    }

    /// Copies the log if there is enough to copy. Requests a restart if the log is above its limit.
    fn check_log(&mut self) -> Result<(), StoreError> {
        let log = checkpoint(&self.conn, Mode::Noop)?;
        if log.copied_frames != self.copied_frames {
            // Another program has made a checkpoint, or the log has restarted.
            let mut writer = self.group_commit.writer.blocking_lock();
            writer.checkpoints().note_other_end();
        }
        self.copied_frames = log.copied_frames;
        if log.bytes - log.copied < self.checkpoint_bytes {
            return Ok(());
        }

        // The lock is not held during the checkpoint: mutations commit beside it.
        let group_commit = Arc::clone(&self.group_commit);
        group_commit.writer.blocking_lock().checkpoints().start();
        let log = checkpoint(&self.conn, Mode::Passive);
        let copied_frames = match &log {
            Ok(log) => log.copied_frames,
            Err(_) => 0,
        };
        let mut writer = group_commit.writer.blocking_lock();
        writer.checkpoints().end(copied_frames);
        drop(writer);
        let log = log?;
        self.copied_frames = copied_frames;
        if log.bytes > self.wal_limit {
            self.request_restart(log.bytes);
        }
        Ok(())
    }

    /// Makes the committer restart a log of this size, which is above its limit.
    fn request_restart(&self, log_bytes: u64) {
        self.readers.expire_held(HELD_SNAPSHOT_TIMEOUT_ABOVE_LIMIT);
        if log_bytes > self.wal_limit.saturating_mul(2) {
            self.readers.expire(Duration::ZERO);
            self.group_commit.request_log_restart(10 * RESTART_TIMEOUT);
        } else {
            self.group_commit.request_log_restart(RESTART_TIMEOUT);
        }
    }
}
