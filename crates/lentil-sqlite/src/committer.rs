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

use lentil_store::{Commit, StoreError};
use parking_lot::{Condvar, Mutex};

use crate::checkpoint;
use crate::error::{end_after_failed_sync, end_process};
use crate::store::Shared;
use crate::writer::{Batch, Writer};

/// What wakes the committer.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<Asked>,
    changed: Condvar,
}

/// What the committer is asked to do.
#[derive(Clone, Default)]
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

    /// Waits until something is asked for.
    fn wait(&self) -> Asked {
        let mut state = self.state.lock();
        loop {
            let is_due = state
                .deadline
                .is_some_and(|deadline| deadline <= Instant::now());
            if state.close || is_due || state.restart_log.is_some() || state.stop {
                let stop = state.stop;
                return std::mem::replace(
                    &mut state,
                    Asked {
                        stop,
                        ..Asked::default()
                    },
                );
            }
            match state.deadline {
                Some(deadline) => drop(self.changed.wait_until(&mut state, deadline)),
                None => self.changed.wait(&mut state),
            }
        }
    }
}

/// Commits batches until the store is closed or gone, then closes the connection.
pub(crate) fn run(signal: &Signal, shared: &Weak<Shared>) -> Result<(), StoreError> {
    loop {
        let asked = signal.wait();
        let Some(shared) = shared.upgrade() else {
            return Ok(());
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
            self.note_closed(batch.number);
            let began = Instant::now();
            wal.sync();
            self.pace.note(began.elapsed(), batch.commits.len());
            self.publish(batch);
        }
        if let Some((at_most, mut writer)) = restarting {
            self.pool.rest();
            checkpoint::restart_log(&mut writer, self.options.wal_limit, at_most);
        }
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
        if let Some(observer) = self.observer.get() {
            let commits = commits.into_iter().map(|(timestamp, writes)| Commit {
                timestamp,
                keys: writes.into_keys(),
            });
            let tell = || commits.for_each(|commit| observer.committed(&Arc::new(commit)));
            // What was not told may be answered from a cache for ever after.
            if catch_unwind(AssertUnwindSafe(tell)).is_err() {
                end_process("the observer of commits panicked; start again");
            }
        }
        self.published
            .change(|published| published.timestamp = last);
        waiting
            .into_iter()
            .for_each(|waiting| drop(waiting.send(Ok(()))));
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
        let emptied = writer.conn().and_then(checkpoint::truncate);
        writer.close();
        emptied
    }
}
