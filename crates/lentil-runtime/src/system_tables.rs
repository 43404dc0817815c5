//! The system's own tables. Functions of an application do not write them; they read two of them
//! with `ctx.db.system`.

use lentil_schema::{Document, Schema, Table};

use crate::files::{FileRecord, StoredFile};
use crate::scheduled_calls::{ScheduledCall, ScheduledFunction};
use crate::session::SessionResult;
use crate::variables::EnvironmentVariable;

/// The tables that functions may name, and read with `ctx.db.system`.
pub(crate) const SHOWN: [&str; 2] = [StoredFile::TABLE, ScheduledFunction::TABLE];

/// Returns the schema of the tables that contexts use, and of those of the system's modules.
pub(crate) fn schema(of_modules: Vec<Table>) -> Schema {
    let own = Schema::new()
        .table::<EnvironmentVariable>()
        .table::<SessionResult>()
        .table::<FileRecord>()
        .with(ScheduledCall::whole_table());
    of_modules.into_iter().fold(own, Schema::with)
}
