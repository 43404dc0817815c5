//! The system's own tables, whose names begin with `_`, and the functions of the command line over them.
//!
//! No function of an application writes these tables; what they hold is read through `ctx`, some of it as
//! `ctx.db.system`, and by the administrator.

mod cli;
mod environment;
mod function;
mod schemas;
mod session;
pub(crate) mod storage;
mod stored_environment;
mod table;

use lentil_schema::{Document, Schema, Table};
use lentil_values::v;

use crate::{Function, ScheduledFunction, schedule};

pub use environment::{EnvironmentChange, EnvironmentError};
pub(crate) use environment::{TABLE as ENVIRONMENT, read as read_environment};
pub(crate) use function::{mutation, object, query};
pub use session::SessionRequest;
pub(crate) use stored_environment::StoredEnvironment;
pub(crate) use table::SystemTable;

/// The system's tables that functions may name and read, as `ctx.db.system`.
pub(crate) const SHOWN: [&str; 2] = [storage::TABLE, ScheduledFunction::TABLE];

/// The system's own functions.
pub(crate) fn functions() -> Vec<Function> {
    let own = [
        cli::functions(),
        environment::functions(),
        schemas::functions(),
        session::functions(),
        storage::functions(),
    ];
    own.into_iter()
        .flatten()
        .chain(schedule::job_functions())
        .chain(schedule::cron_functions())
        .collect()
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
        .with(
            Table::new(storage::TABLE)
                .field("sha256", v::string())
                .field("size", v::number())
                .field("contentType", v::union([v::string(), v::null()]))
                .field("urlId", v::string())
                .index(storage::BY_SHA256, ["sha256"])
                .index(storage::BY_URL_ID, ["urlId"]),
        )
        .with(schedule::job_table())
        .with(schedule::cron_table())
}
