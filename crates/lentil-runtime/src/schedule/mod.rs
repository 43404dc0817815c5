//! Functions that run later: `ctx.scheduler`, and the execution of a scheduled call.
//!
//! The scheduler, a system module, starts the calls that are due.

mod execution;
mod scheduler;

pub use execution::ScheduledExecution;
pub use scheduler::{Schedulable, Scheduler};
