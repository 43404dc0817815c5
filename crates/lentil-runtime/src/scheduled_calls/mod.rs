//! Scheduled calls: the documents of the system's table `_scheduled_functions`, and operations on
//! them within a transaction.
//!
//! ```text
//! pending ─ mutation ─► runs, and is marked `success`, in one transaction        exactly once
//! pending ─ action ───► marked `inProgress`, runs, marked `success` or `failed`  at most once
//! ```

mod document;
mod operations;

pub use document::{ScheduledCall, ScheduledFunction, ScheduledState};
pub(crate) use operations::{NewCall, ScheduledRun, args_of, begin, cancel, end, schedule};
