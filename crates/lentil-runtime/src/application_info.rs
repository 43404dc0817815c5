use lentil_schema::Table;

use crate::context::QueryCtx;
use crate::engine::{Engine, Function};

/// The tables, functions and routes of a running application, for system functions that describe
/// it.
pub struct ApplicationInfo(pub(crate) Engine);

impl ApplicationInfo {
    /// Describes the application that runs a query.
    pub fn of(ctx: &QueryCtx) -> ApplicationInfo {
        ApplicationInfo(ctx.call.engine.clone())
    }

    /// Returns the tables that the application declares.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        let tables = self.0.tables();
        tables
            .names()
            .filter_map(|name| Some(&tables.named(name)?.table))
    }

    /// Returns every registered function, in no particular order.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.0.registry().all().map(|function| &**function)
    }

    /// Returns the method and path of each route. A prefix ends with `*`.
    pub fn routes(&self) -> &[(String, String)] {
        &self.0.parts().routes
    }

    /// Returns the URL under which clients reach the server, without a `/` at its end.
    pub fn origin(&self) -> &str {
        self.0.origin()
    }
}
