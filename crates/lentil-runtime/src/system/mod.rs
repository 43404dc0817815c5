//! The system's own tables, whose names begin with `_`, and the functions over them.
//!
//! Functions of an application do not write these tables. They read them through `ctx`, and two of them with
//! `ctx.db.system`.

mod cli;
mod environment;
mod function;
mod schemas;
mod session;
mod stored_environment;

use lentil_schema::{Document, Schema};

use crate::schedule::{self, CronDocument, ScheduledCall};
use crate::storage::{self, FileRecord};
use crate::{Functions, ScheduledFunction, StoredFile};

pub use environment::{EnvironmentChange, EnvironmentError};
pub(crate) use environment::{EnvironmentParts, EnvironmentVariable, read as read_environment};
pub use session::SessionRequest;
pub(crate) use session::recorded_result;
pub(crate) use stored_environment::StoredEnvironment;

/// The system's tables that functions may name, and read with `ctx.db.system`.
pub(crate) const SHOWN: [&str; 2] = [StoredFile::TABLE, ScheduledFunction::TABLE];

/// The system's own functions.
pub(crate) fn functions() -> Functions {
    Functions::new()
        .with(cli::functions())
        .with(environment::functions())
        .with(schemas::functions())
        .with(session::functions())
        .with(storage::functions())
        .with(schedule::call_functions())
        .with(schedule::cron_functions())
}

/// The system's own tables.
pub(crate) fn schema() -> Schema {
    Schema::new()
        .table::<EnvironmentVariable>()
        .table::<session::SessionResult>()
        .table::<FileRecord>()
        .with(ScheduledCall::whole_table())
        .table::<CronDocument>()
}
