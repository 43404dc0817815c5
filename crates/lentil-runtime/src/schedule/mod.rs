//! Functions that run later: `ctx.scheduler`, and crons.
//!
//! A scheduled function is a document of the system's table `_scheduled_functions`. A mutation's orders are written in
//! its own transaction; an action's at once. The scheduler watches the table with a live query, as a client would:
//!
//! ```text
//! pending ─ mutation ─► runs, and is marked `success`, in one transaction        exactly once
//! pending ─ action ───► marked `inProgress`, runs, marked `success` or `failed`  at most once
//! ```
//!
//! What a crash leaves `pending` runs at the next start; an action that it leaves `inProgress` has failed. A cron is a
//! document that says when it is due next; firing it schedules its function.
//!
//! Both hold times of the wall clock, which may have been wrong when they were written. A cron that is due more than one
//! period from now is replanned. A function that was scheduled after a delay, at a time that now lies ahead, waits for
//! its delay from now on; one that was scheduled for a time waits for that time.

mod calls;
mod cron_documents;
mod crons;
mod execution;
mod run;
mod scheduled_function;
mod scheduler;

pub(crate) use calls::{ScheduledRun, functions as call_functions};
pub(crate) use cron_documents::{CronDocument, functions as cron_functions};
pub(crate) use crons::OpenCron;
pub use crons::{CronError, Crons};
pub use execution::ScheduledExecution;
pub(crate) use scheduled_function::ScheduledCall;
pub use scheduled_function::{ScheduledFunction, ScheduledState};
pub use scheduler::{Schedulable, Scheduler};

/// Clock adjustments below this are ordinary, and ignored.
const CLOCK_STEP_MS: f64 = 60_000.0;
