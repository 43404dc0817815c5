//! The write-ahead log: durability, checkpoints, and the checks that no acknowledged commit is
//! missing.
//!
//! ```text
//!   log            loss                  fsync after COMMIT · the check at the start
//!    ├────────┐     │
//!    │     acknowledged   run_mark       how far commits are acknowledged · whether the last server crashed
//!    │         │
//! file_guard  frames ── checkpoint       removed files · the log's frames · copying it into the database
//! ```

pub(crate) mod acknowledged;
pub(crate) mod checkpoint;
pub(crate) mod file_guard;
pub(crate) mod frames;
pub(crate) mod log;
pub(crate) mod loss;
pub(crate) mod run_mark;
