use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lentil_store::{Clock, Commit, CommitObserver, StoreError, Timestamp};
use tokio::sync::MutexGuard;

use super::policy::Event;
use super::queue::Wake;
use super::shared::GroupCommit;
use super::writer::{CommittedBatch, Writer};
use crate::catalog::CurrentCatalog;
use crate::error::{end_after_failed_fsync, end_process, store_error};
use crate::snapshots::ReaderPool;
use crate::tables::format;

/// The interval between checks of the files and of changes by other programs, which must be found
/// within a second.
const OUTSIDE_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The thread that commits batches and acknowledges them.
pub(crate) struct Committer {
    pub(crate) group_commit: Arc<GroupCommit>,
    pub(crate) readers: Arc<ReaderPool>,
    pub(crate) catalog: Arc<CurrentCatalog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wal_limit: u64,
}

impl Committer {
    /// Commits batches until the store closes, then closes the writer.
    pub(crate) fn run(self) -> Result<(), StoreError> {
        let mut next_check = Instant::now() + OUTSIDE_CHECK_INTERVAL;
        loop {
            let wake = self.group_commit.queue.wait(next_check);
            if Instant::now() >= next_check {
                self.check_outside();
                next_check = Instant::now() + OUTSIDE_CHECK_INTERVAL;
            }
            match wake {
                Wake::Timeout => {}
                Wake::Close => self.commit_batch(),
                Wake::Stop => return self.close(),
            }
        }
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.group_commit.writer.blocking_lock()
    }

    fn commit_batch(&self) {
        let mut writer = self.lock_writer();
        let committed = self.try_commit(&mut writer);
        let Some(timeout) = self.group_commit.take_log_restart() else {
            // Before the fsync: the next mutations need the writer meanwhile.
            drop(writer);
            self.finish(committed);
            return;
        };
        // The writer stays locked, so that no mutation writes to the log before it restarts.
        self.finish(committed);
        self.readers.release_idle_snapshots();
        if let Err(error) = writer.restart_log(self.wal_limit, timeout) {
            tracing::warn!(
                %error,
                "cannot restart the write-ahead log; the next checkpoint retries"
            );
        }
    }

    /// Commits the open batch and closes the writer.
    fn close(&self) -> Result<(), StoreError> {
        // One lock for both: a transaction that outlives the store must not open a batch in
        // between.
        let mut writer = self.lock_writer();
        let committed = self.try_commit(&mut writer);
        self.finish(committed);
        writer.close()
    }

    /// Commits the open batch. Returns `None` if nothing was applied, or if the batch was aborted.
    fn try_commit(&self, writer: &mut Writer) -> Option<CommittedBatch> {
        match writer.commit() {
            Ok(committed) => committed,
            Err(error) => {
                // COMMIT fsyncs the header of a log that restarts.
                end_after_failed_fsync(&error);
                self.group_commit.abort_batch(writer, &error.to_string());
                None
            }
        }
    }

    /// Makes a committed batch durable and publishes it.
    fn finish(&self, committed: Option<CommittedBatch>) {
        let Some(committed) = committed else {
            return;
        };
        let queue = &self.group_commit.queue;
        // Before the fsync, so that no mutation of this batch asks to close it meanwhile.
        queue.report(Event::Ended {
            number: committed.batch.number,
        });
        let began = Instant::now();
        committed.unsynced.make_durable();
        queue.report(Event::Durable {
            commits: committed.batch.commits.len(),
            fsync: began.elapsed(),
        });
        self.publish(committed);
    }

    /// Notifies the observer, advances the published timestamp and acknowledges, in this order.
    fn publish(&self, committed: CommittedBatch) {
        let (commits, waiters) = committed.batch.into_parts();
        let Some((last, _)) = commits.last() else {
            return;
        };
        let last = *last;
        self.notify(|observer| {
            for (timestamp, writes) in commits {
                let keys = writes.into_keys();
                observer.committed(&Arc::new(Commit { timestamp, keys }));
            }
        });
        self.group_commit.published.advance(last);
        waiters.notify(&Ok(()));
    }

    fn notify(&self, notify: impl FnOnce(&dyn CommitObserver)) {
        let Some(observer) = self.group_commit.observer.get() else {
            return;
        };
        // A cache that missed a commit would return stale results from then on.
        if catch_unwind(AssertUnwindSafe(|| notify(&**observer))).is_err() {
            end_process("the observer of commits panicked; start again");
        }
    }

    /// Checks that the files keep their paths, and whether another program has changed the
    /// database.
    fn check_outside(&self) {
        let mut writer = self.lock_writer();
        // After an abort, a new connection is checked when it is in use.
        if !writer.is_open() {
            return;
        }
        writer.check_files();
        let checked = match writer.is_changed_outside() {
            Ok(false) => return,
            Ok(true) => self.publish_outside_changes(writer),
            Err(error) => Err(error),
        };
        if let Err(error) = checked {
            tracing::warn!(
                %error,
                "failed to check for changes by other programs; the next check retries"
            );
        }
    }

    /// Invalidates everything that was read before another program changed the database.
    ///
    /// The changes get a timestamp after the open batch, because that batch began after them or is
    /// empty.
    fn publish_outside_changes(
        &self,
        mut writer: MutexGuard<'_, Writer>,
    ) -> Result<(), StoreError> {
        let committed = self.try_commit(&mut writer);
        let accepted = self.accept_outside_changes(&mut writer);
        let unsynced = writer.unsynced();
        drop(writer);
        self.finish(committed);
        let timestamp = accepted?;
        unsynced.make_durable();
        tracing::info!("another program has changed the database; cached results are invalidated");
        self.notify(|observer| observer.everything_changed(timestamp));
        self.group_commit.published.advance(timestamp);
        Ok(())
    }

    fn accept_outside_changes(&self, writer: &mut Writer) -> Result<Timestamp, StoreError> {
        let conn = writer.conn()?;
        let expected = self.catalog.get();
        let is_usable = match format::read_catalog(conn) {
            Ok(catalog) => catalog == *expected && format::check_tables(conn, &catalog).is_ok(),
            Err(StoreError::Corrupt(_)) => false,
            Err(error) => return Err(error),
        };
        if !is_usable {
            end_process(
                "another program has changed or dropped tables of the database; \
                 restore them or a copy, then start again",
            );
        }
        writer
            .accept_outside_changes(self.clock.now())
            .map_err(store_error)
    }
}
