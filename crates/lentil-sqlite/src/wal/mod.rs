//! The write-ahead log: durability, checkpoints, and the checks that no acknowledged commit is
//! missing.
//!
//! ```text
//!    log           loss                  the fsync after COMMIT · the check at the start
//!     ├──────┐      │
//!     │  acknowledged   run_mark         notes on acknowledged commits · the mark of a server
//!     │      │
//! file_guard └─ frames ── checkpoint     removed files · the log's frames · checkpoints
//! ```

pub(crate) mod acknowledged;
pub(crate) mod checkpoint;
pub(crate) mod file_guard;
pub(crate) mod frames;
pub(crate) mod log;
pub(crate) mod loss;
pub(crate) mod run_mark;
