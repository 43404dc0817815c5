//! Group commit.
//!
//! A mutation's writes are applied to a SQLite transaction that stays open for the mutations after it: the *batch*.
//! When nobody waits for the turn, not even after the requests that have come in were read, or the batch is large or
//! old enough, the committer, a thread of its own, runs COMMIT, which writes the log, and has the disk keep that: one
//! fsync for all of them. While the disk is at it the next mutations run, and form the next batch:
//!
//! ```text
//! mutation a   reads, applies ─┐                                    ┌─ answered
//! mutation b   ··turn·· reads, applies ─┐                           ├─ answered
//! committer                             └ COMMIT ─┐ fsync ──────────┤ observer a, b · published · outcome
//! mutation c                ··turn·· (connection) └ reads, applies ─┐ …
//! ```
//!
//! The committer alone makes a batch durable, tells the observer of its commits in order, advances the published
//! timestamp and acknowledges, in this order. A caller that was dropped in between changes nothing.
//!
//! A batch that cannot be committed is lost as a whole: its members fail, and so does the mutation that runs just
//! then, for it may have read what they wrote. Nothing of it was acknowledged. The connection is opened anew, and
//! later mutations begin from what was committed. After a failed fsync there is no such later: the process ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use lentil_store::{Commit, CommitObserver, StoreError, Timestamp};
use parking_lot::{Condvar, Mutex};
use tokio::sync::MutexGuard;

use crate::checkpoint;
use crate::error::{end_after_failed_sync, end_process, store_error};
use crate::group_commit::writer::{Batch, Writer};
use crate::store::Shared;
use crate::tables::format;
use crate::wal::log::Wal;

/// The interval between two checks of the files and of other programs' changes, which must be found within a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// What wakes the committer.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<Asked>,
    changed: Condvar,
}

/// What the committer is asked to do.
#[derive(Default)]
struct Asked {
    /// When the open batch is to be committed at the latest.
    deadline: Option<Instant>,
    close: bool,
    /// The log is to begin anew between two batches; making that possible may take this long.
    restart_log: Option<Duration>,
    stop: bool,
}

impl Signal {
    /// The open batch has to be committed by then, and not before unless it is asked for.
    pub(crate) fn arm(&self, deadline: Instant) {
        let before = self.state.lock().deadline.replace(deadline);
        // Who waits for an earlier one finds out then that it is later.
        if before.is_none_or(|before| deadline < before) {
            self.changed.notify_one();
        }
    }

    /// The open batch is to be committed now.
    pub(crate) fn close_batch(&self) {
        self.ask(|asked| asked.close = true);
    }

    /// The log is to begin anew after the open batch; mutations wait so long for it, at most.
    pub(crate) fn restart_log(&self, at_most: Duration) {
        self.ask(|asked| asked.restart_log = Some(at_most));
    }

    /// The thread is to end, after a last commit.
    pub(crate) fn stop(&self) {
        self.ask(|asked| asked.stop = true);
    }

    fn ask(&self, ask: impl FnOnce(&mut Asked)) {
        ask(&mut self.state.lock());
        self.changed.notify_one();
    }

    /// Waits until there is something to do, or until this moment: then there is nothing.
    fn wait_until(&self, moment: Instant) -> Option<Asked> {
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            let is_due = state.deadline.is_some_and(|deadline| deadline <= now);
            if state.close || is_due || state.restart_log.is_some() || state.stop {
                let stop = state.stop;
                let asked = std::mem::take(&mut *state);
                state.stop = stop;
                return Some(asked);
            }
            if now >= moment {
                return None;
            }
            let until = state
                .deadline
                .map_or(moment, |deadline| deadline.min(moment));
            self.changed.wait_until(&mut state, until);
        }
    }
}

/// Commits batches until the store is closed or gone, then closes the connection.
pub(crate) fn run(signal: &Signal, shared: &Weak<Shared>) -> Result<(), StoreError> {
    let mut next_look = Instant::now() + LOOK_INTERVAL;
    loop {
        let asked = signal.wait_until(next_look);
        let Some(shared) = shared.upgrade() else {
            return Ok(());
        };
        if Instant::now() >= next_look {
            shared.look_outside();
            next_look = Instant::now() + LOOK_INTERVAL;
        }
        let Some(asked) = asked else {
            continue;
        };
        shared.commit_batch(asked.restart_log);
        if asked.stop {
            return shared.finish();
        }
    }
}

impl Shared {
    fn commit_batch(&self, restart_log: Option<Duration>) {
        let mut writer = self.writer.blocking_lock();
        let committed = self.try_commit(&mut writer);
        let wal = writer.wal();
        // The next mutation need not wait for the disk, nor for what comes after that.
        let restarting = restart_log.map(|at_most| (at_most, writer));
        if let Some(batch) = committed {
            self.finish_batch(batch, &wal);
        }
        if let Some((at_most, mut writer)) = restarting {
            self.pool.rest();
            checkpoint::restart_log(&mut writer, self.options.wal_limit, at_most);
        }
    }

    /// Checks that the files are in their places, and whether another program has changed the database.
    fn look_outside(&self) {
        let mut writer = self.writer.blocking_lock();
        // A connection that was given up is checked again when it is in use again.
        if !writer.is_open() {
            return;
        }
        writer.wal().check_files();
        let looked = match writer.is_changed_outside() {
            Ok(false) => return,
            Ok(true) => self.pass_on_outside_changes(writer),
            Err(error) => Err(error),
        };
        if let Err(error) = looked {
            tracing::warn!(%error, "failed to check for changes by other programs; the next check retries");
        }
    }

    /// Invalidates everything that was read before another program changed the database.
    ///
    /// Its changes get a timestamp after the open batch, which began after them or is empty.
    fn pass_on_outside_changes(
        &self,
        mut writer: MutexGuard<'_, Writer>,
    ) -> Result<(), StoreError> {
        let committed = self.try_commit(&mut writer);
        let wal = writer.wal();
        let noted = self.note_outside_changes(&mut writer);
        let note = writer.note();
        drop(writer);
        if let Some(batch) = committed {
            self.finish_batch(batch, &wal);
        }
        let timestamp = noted?;
        wal.make_durable(&note);
        tracing::info!("another program has changed the database; cached results are invalidated");
        self.notify(|observer| observer.everything_changed(timestamp));
        self.published
            .change(|published| published.timestamp = timestamp);
        Ok(())
    }

    fn note_outside_changes(&self, writer: &mut Writer) -> Result<Timestamp, StoreError> {
        let conn = writer.conn()?;
        let is_as_it_was = match format::read_catalog(conn) {
            Ok(catalog) => {
                catalog == *self.catalog() && format::check_tables(conn, &catalog).is_ok()
            }
            Err(StoreError::Corrupt(_)) => false,
            Err(error) => return Err(error),
        };
        if !is_as_it_was {
            end_process(
                "another program has changed or dropped tables of the database; restore them or a copy, then start again",
            );
        }
        let timestamp = writer
            .accept_outside_changes(self.options.clock.now())
            .map_err(store_error)?;
        self.frontier.advance(timestamp);
        Ok(timestamp)
    }

    /// Makes a committed batch durable, and publishes it.
    fn finish_batch(&self, batch: Batch, wal: &Wal) {
        self.note_closed(batch.number);
        let began = Instant::now();
        wal.make_durable(&batch.note);
        self.pace.note(began.elapsed(), batch.commits.len());
        self.publish(batch);
    }

    /// Commits the open batch; `None` when there is none, or nothing in it, or it was lost.
    fn try_commit(&self, writer: &mut Writer) -> Option<Batch> {
        writer.end_empty_batch();
        writer.batch.as_ref()?;
        match writer.commit(&self.frontier) {
            Ok(()) => writer.batch.take(),
            Err(error) => {
                end_after_failed_sync(&error);
                self.lose(writer, &error.to_string());
                None
            }
        }
    }

    /// Everything after durability, in the order that keeps the promises.
    fn publish(&self, batch: Batch) {
        let Batch {
            commits, waiting, ..
        } = batch;
        let Some(last) = commits.last().map(|(timestamp, _)| *timestamp) else {
            return;
        };
        self.notify(|observer| {
            for (timestamp, writes) in commits {
                let keys = writes.into_keys();
                observer.committed(&Arc::new(Commit { timestamp, keys }));
            }
        });
        self.published
            .change(|published| published.timestamp = last);
        waiting
            .into_iter()
            .for_each(|waiting| drop(waiting.send(Ok(()))));
    }

    fn notify(&self, notify: impl FnOnce(&dyn CommitObserver)) {
        let Some(observer) = self.observer.get() else {
            return;
        };
        // A cache that missed a commit would return stale results from then on.
        if catch_unwind(AssertUnwindSafe(|| notify(&**observer))).is_err() {
            end_process("the observer of commits panicked; start again");
        }
    }

    /// Gives the open batch up: its members fail, and the connection starts anew from what is committed.
    pub(crate) fn lose(&self, writer: &mut Writer, reason: &str) {
        let committed = writer.committed;
        let Some(batch) = writer.give_up() else {
            return;
        };
        tracing::error!(
            commits = batch.commits.len(),
            reason,
            "a batch of commits was lost; none was acknowledged"
        );
        if let (Some(first), Some(last)) = (batch.commits.first(), batch.commits.last()) {
            let lost = first.0..=last.0;
            self.published
                .change(|published| published.lose(lost, committed));
        }
        batch
            .waiting
            .into_iter()
            .for_each(|waiting| drop(waiting.send(Err(reason.to_owned()))));
    }

    fn finish(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.blocking_lock();
        let emptied = checkpoint::empty_log(&mut writer);
        writer.close();
        emptied
    }
}
