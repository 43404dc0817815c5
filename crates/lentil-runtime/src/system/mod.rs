//! The system's own tables, whose names begin with `_`, and the functions of the command line over them.
//!
//! No function of an application reads or writes these tables; what they hold is read through `ctx` and by the
//! administrator.

mod cli;
mod environment;
mod function;
mod session;
mod table;

use lentil_schema::{Schema, Table};
use lentil_values::v;

use crate::{Function, schedule};

pub(crate) use environment::read as read_environment;
pub use environment::{EnvironmentChange, EnvironmentError};
pub(crate) use function::{mutation, object, query};
pub use session::SessionRequest;
pub(crate) use table::SystemTable;

/// The system's own functions.
pub(crate) fn functions() -> Vec<Function> {
    let own = cli::functions().into_iter().chain(environment::functions()).chain(session::functions());
    own.chain(schedule::job_functions()).chain(schedule::cron_functions()).collect()
}

/// The system's own tables.
pub(crate) fn schema() -> Schema {
    Schema::new()
        .with(
            Table::new(environment::TABLE)
                .field("name", v::string())
                .field("value", v::string())
                .index(environment::BY_NAME, ["name"]),
        )
        .with(
            Table::new(session::TABLE)
                .field("sessionId", v::string())
                .field("requestId", v::number())
                .field("result", v::string())
                .index(session::BY_REQUEST, ["sessionId", "requestId"]),
        )
        .with(schedule::job_table())
        .with(schedule::cron_table())
}
