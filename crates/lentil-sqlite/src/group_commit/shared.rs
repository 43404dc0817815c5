use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lentil_store::{CommitError, CommitObserver};
use parking_lot::Mutex as SyncMutex;
use tokio::sync::Mutex;

use super::policy::{Event, Limits};
use super::published::PublishedTimestamp;
use super::queue::CommitQueue;
use super::write_lock::WriteLock;
use super::writer::Writer;
use crate::error::store_error;
use crate::options::SqliteOptions;

/// The state that transactions, the committer and maintenance share.
///
/// Lock order: the write lock, then the writer's mutex, then the others, which are never held
/// together.
pub(crate) struct GroupCommit {
    pub(crate) write_lock: WriteLock,
    /// An `Arc`, so that a scan on a blocking thread can own its guard.
    pub(crate) writer: Arc<Mutex<Writer>>,
    pub(crate) queue: Arc<CommitQueue>,
    pub(crate) published: PublishedTimestamp,
    pub(crate) observer: OnceLock<Arc<dyn CommitObserver>>,
    /// Set while the checkpointer wants the log to restart: how long mutations may wait for that.
    log_restart: SyncMutex<Option<Duration>>,
}

impl GroupCommit {
    pub(crate) fn new(writer: Writer, options: &SqliteOptions) -> GroupCommit {
        let queue = Arc::new(CommitQueue::new(Limits {
            commits: options.batch_commits,
            bytes: options.batch_bytes,
            age: options.batch_time,
        }));
        GroupCommit {
            write_lock: WriteLock::new(Arc::clone(&queue), options.max_wait),
            published: PublishedTimestamp::at(writer.committed()),
            writer: Arc::new(Mutex::new(writer)),
            queue,
            observer: OnceLock::new(),
            log_restart: SyncMutex::default(),
        }
    }

    /// Closes the open batch.
    pub(crate) fn close_batch(&self) {
        self.queue.report(Event::Maintenance);
    }

    /// Makes the committer restart the log after the open batch. Mutations wait for that, at most
    /// for `timeout`.
    pub(crate) fn request_log_restart(&self, timeout: Duration) {
        // Before the committer wakes, so that it finds the request.
        *self.log_restart.lock() = Some(timeout);
        self.close_batch();
    }

    /// Takes the request for a restart of the log.
    pub(crate) fn take_log_restart(&self) -> Option<Duration> {
        self.log_restart.lock().take()
    }

    /// Returns the error of a write set that could not be applied. Aborts the batch if SQLite has
    /// rolled it back.
    pub(crate) fn failed_to_apply(
        &self,
        writer: &mut Writer,
        error: rusqlite::Error,
    ) -> CommitError {
        if writer.has_lost_batch() {
            let reason = error.to_string();
            self.abort_batch(writer, &reason);
            return CommitError::Lost { reason };
        }
        writer.end_empty_batch();
        CommitError::Store(store_error(error))
    }

    /// Aborts the open batch: its mutations fail, and later ones begin from the last commit.
    pub(crate) fn abort_batch(&self, writer: &mut Writer, reason: &str) {
        let committed = writer.committed();
        let Some(batch) = writer.abort_batch() else {
            return;
        };
        tracing::error!(
            commits = batch.commits.len(),
            reason,
            "a batch of commits was aborted; none of them was acknowledged"
        );
        // Before the callers continue, so that their guards do not ask to close the batch.
        self.queue.report(Event::Ended {
            number: batch.number,
        });
        let (commits, waiters) = batch.into_parts();
        if let (Some(first), Some(last)) = (commits.first(), commits.last()) {
            self.published.abort(first.0..=last.0, committed);
        }
        waiters.notify(&Err(reason.to_owned()));
    }
}
