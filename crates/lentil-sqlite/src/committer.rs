//! Group commit.
//!
//! A mutation's writes are applied, under a savepoint, to a SQLite transaction that stays open for the mutations
//! after it: the *batch*. When nobody waits for the turn, or the batch is large or old enough, the committer, a
//! thread of its own, runs COMMIT, which is the one fsync for all of them. Meanwhile the next mutations queue for
//! the connection, and form the next batch:
//!
//! ```text
//! mutation a   reads, applies ─┐                            ┌─ answered
//! mutation b   ··turn·· reads, applies ─┐                   ├─ answered
//! committer                             └ COMMIT (fsync) ───┤ observer a, b · published · outcome
//! mutation c                ··turn·· (connection) ··········└ reads, applies ─┐ …
//! ```
//!
//! The committer alone makes a batch durable, tells the observer of its commits in order, advances the published
//! timestamp and acknowledges, in this order. A caller that was dropped in between changes nothing.
//!
//! A batch that cannot be committed is lost as a whole: its members fail, and so does the mutation that runs just
//! then, for it may have read what they wrote. Nothing of it was acknowledged. The connection is opened anew, and
//! later mutations begin from what is durable. After a failed fsync there is no such later: the process ends.

use std::sync::{Arc, Weak};
use std::time::Instant;

use lentil_store::Timestamp;
use parking_lot::{Condvar, Mutex};

use crate::error::is_failed_sync;
use crate::store::Shared;
use crate::writer::Batch;
use crate::{format, open};

/// What wakes the committer.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Default)]
struct SignalState {
    /// When the open batch is to be committed at the latest.
    deadline: Option<Instant>,
    close: bool,
    stop: bool,
}

impl Signal {
    /// The open batch has to be committed by then.
    pub(crate) fn arm(&self, deadline: Instant) {
        self.state.lock().deadline = Some(deadline);
        self.changed.notify_one();
    }

    /// The open batch is to be committed now.
    pub(crate) fn close_batch(&self) {
        self.state.lock().close = true;
        self.changed.notify_one();
    }

    /// The thread is to end, after a last commit.
    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_one();
    }

    /// Waits until there is something to commit; false when the thread is to end.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        loop {
            let is_due = state.deadline.is_some_and(|deadline| deadline <= Instant::now());
            if state.close || is_due || state.stop {
                (state.close, state.deadline) = (false, None);
                return !state.stop;
            }
            match state.deadline {
                Some(deadline) => drop(self.changed.wait_until(&mut state, deadline)),
                None => self.changed.wait(&mut state),
            }
        }
    }
}

/// Commits batches until the store is closed or gone.
pub(crate) fn run(signal: &Signal, shared: &Weak<Shared>) {
    while signal.wait() {
        let Some(shared) = shared.upgrade() else { return };
        shared.commit_batch();
    }
    if let Some(shared) = shared.upgrade() {
        shared.commit_batch();
    }
}

impl Shared {
    fn commit_batch(self: &Arc<Self>) {
        let mut writer = self.writer.blocking_lock();
        let Some(batch) = writer.batch.take() else { return };
        let last = writer.last;
        let committed = format::write_timestamp(&writer.conn, last)
            .and_then(|()| writer.conn.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])));
        match committed {
            Ok(_) => {
                drop(writer);
                self.publish(&batch, last);
            }
            Err(error) if is_failed_sync(&error) => die(&error),
            Err(error) => self.lose(&mut writer, batch, &error.to_string()),
        }
    }

    /// Everything after durability, in the order that keeps the promises.
    fn publish(&self, batch: &Batch, last: Timestamp) {
        if let Some(observer) = self.observer.get() {
            batch.commits.iter().for_each(|commit| observer.committed(commit));
        }
        self.written.add(batch.bytes as u64);
        self.published.send_replace(last);
        batch.outcome.send_replace(Some(Ok(())));
    }

    /// Gives a batch up: its members fail, and the connection starts anew from what is durable.
    pub(crate) fn lose(&self, writer: &mut crate::writer::Writer, batch: Batch, reason: &str) {
        tracing::error!(commits = batch.commits.len(), reason, "a batch of commits was lost; none was acknowledged");
        writer.epoch += 1;
        match open::writer(&self.path) {
            Ok(conn) => writer.conn = conn,
            // The old connection is tried on; while it is unusable, every commit fails and says why.
            Err(error) => tracing::error!(%error, "the database could not be reopened"),
        }
        batch.outcome.send_replace(Some(Err(reason.to_owned())));
    }
}

/// Ends the process: after a failed fsync no file content can be trusted, and to try again would lie.
fn die(error: &rusqlite::Error) -> ! {
    let sentence = "the disk failed to make a commit durable; stopping, so that nothing wrong is acknowledged";
    tracing::error!(%error, "{sentence}");
    eprintln!("{sentence}: {error}; check the disk, then start again");
    std::process::exit(1)
}
