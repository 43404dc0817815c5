//! Group commit: many mutations share one SQLite transaction and one fsync.
//!
//! Mutations execute one after another, each while it holds the *write lock*. A mutation applies
//! its writes to an open SQLite transaction, the *batch*, and passes the lock on. When the batch
//! closes, a dedicated thread, the *committer*, runs COMMIT and one fsync for all of its mutations.
//! Later mutations execute during the fsync and form the next batch.
//!
//! One batch over time:
//!
//! ```text
//! batch 7        opens                    closes              durable      published
//!                  │                        │                    │             │
//! mutation a       ├ reads, applies ┤       │                    │             ├ acknowledged
//! mutation b       · waits for lock ├ … ┤   │                    │             ├ acknowledged
//! policy                                ├ ? ┤ nobody is queued   │             │
//! committer                                 ├ COMMIT ┤ fsync ────┤ observer ───┤
//! mutation c                                · waits  ├ reads, applies ┤ …         batch 8
//! ```
//!
//! [`policy::Policy`] decides when a batch closes, and documents the rule. The other parts report
//! events to it and carry out its actions.
//!
//! For each batch the committer alone, never a caller's future, follows this order:
//!
//! 1. It makes the batch durable: COMMIT, fsync, note (`wal::log`).
//! 2. It passes the commits to the observer, in commit order.
//! 3. It advances the published timestamp.
//! 4. It acknowledges the mutations.
//!
//! So a caller that is dropped between two steps changes nothing. A commit that is not durable is
//! neither published nor acknowledged.
//!
//! A batch that cannot be committed is *aborted* as a whole. Its mutations fail, and so does the
//! mutation that executes at that moment, because it may have read their writes. The writer opens a
//! new connection, and later mutations begin from the last commit. After a failed fsync there are
//! no later mutations: the process ends.
//!
//! A file imports only files below it:
//!
//! ```text
//! committer          the thread: COMMIT, fsync, observer, published, acknowledged
//! shared             the state that transactions, the committer and maintenance share
//! writer             applies write sets to the open batch
//! write_connection   the connection that writes, and its log
//! ───────────────────────────────────────────────────────── the files below know nothing of SQLite
//! published          the published timestamp
//! write_lock         the lock under which mutations execute
//! queue              carries events to the policy and its actions to the committer
//! batch              the mutations that share a transaction
//! policy             when a batch closes
//! ```

mod batch;
mod committer;
mod policy;
mod published;
mod queue;
mod shared;
mod write_connection;
mod write_lock;
mod writer;

pub(crate) use batch::acknowledged;
pub(crate) use committer::Committer;
pub(crate) use policy::YIELD_EVERY;
pub(crate) use queue::BatchGuard;
pub(crate) use shared::GroupCommit;
pub(crate) use write_connection::WriteConnection;
pub(crate) use write_lock::WriterPermit;
pub(crate) use writer::Writer;
