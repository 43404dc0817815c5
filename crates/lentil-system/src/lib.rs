//! The parts of the system that run beside an application's functions.
//!
//! Each part is a [`SystemModule`](lentil_runtime::SystemModule), which the runtime opens with the
//! application: it has functions under `_system/`, perhaps tables, and background work. The
//! document types and the handles that functions use (`ctx.scheduler`, `ctx.storage`, `ctx.env`)
//! belong to the runtime. The code that reads and writes the same tables outside of functions is
//! here. [`System`] holds the modules of one application.

// Derived code names the facade `lentil`. The facade is above this crate, so `lentil_schema`, which
// it re-exports, takes the name.
extern crate lentil_schema as lentil;

mod background;
mod cli;
mod cron_schedule;
mod cron_table;
mod crons;
pub mod environment;
pub mod files;
pub mod frontend;
mod live_query;
pub mod scheduler;
pub mod sessions;
mod system;

pub use crons::{CronError, Crons};
pub use system::System;
