use std::sync::Arc;

use lentil_call::Log;
use lentil_schema::{Args, IntoArgs};
use lentil_values::ReturnType;

use crate::call::Call;
use crate::context::{Auth, Meta};
use crate::function::BoxFuture;
use crate::handler::Handler;
use crate::run::{arguments, call_nested_mutation, call_nested_query, typed};
use crate::{DatabaseWriter, QueryCtx, Result, Scheduler, StorageWriter, system};

/// A mutation's context.
pub struct MutationCtx {
    /// The database, to read and to write.
    pub db: DatabaseWriter,
    /// The mutation's log lines.
    pub log: Log,
    /// Who is signed in.
    pub auth: Auth,
    /// The request behind the call.
    pub meta: Meta,
    /// Runs functions later, if this mutation succeeds.
    pub scheduler: Scheduler,
    /// Stored files.
    pub storage: StorageWriter,
    pub(crate) call: Call,
}

impl MutationCtx {
    pub(crate) fn new(db: DatabaseWriter, call: Call) -> MutationCtx {
        let scheduler = Scheduler::of_mutation(&call, db.slot());
        let storage = StorageWriter::new(db.slot(), &call.runtime);
        MutationCtx {
            db,
            log: call.log.clone(),
            auth: call.auth.clone(),
            meta: Meta::new(Arc::clone(&call.source)),
            scheduler,
            storage,
            call,
        }
    }

    /// Returns the time at which the mutation began, in whole milliseconds since the Unix epoch.
    ///
    /// It is the same all through the mutation.
    ///
    /// # Errors
    /// [`crate::Code::Abandoned`] after a nested call was dropped before it finished.
    pub fn now(&mut self) -> Result<f64> {
        Ok(self.db.transaction()?.now_ms.floor())
    }

    /// An environment variable: the process's, else the one that the administrator stored, else a declared secret's.
    ///
    /// It counts as read: a live query runs again when the stored variable changes.
    ///
    /// # Errors
    /// When a limit of reading is passed.
    pub async fn env(&mut self, name: &str) -> Result<Option<String>> {
        system::read_environment(&self.call.runtime, &self.db, name).await
    }

    /// A random number in `[0, 1)` from the mutation's own seed.
    pub fn random(&mut self) -> f64 {
        self.call.random()
    }

    /// Runs a query that sees what this mutation has written.
    ///
    /// # Errors
    /// The query's own; or that it is not registered, or its arguments or result do not match its validators.
    pub fn run_query<'c, A, M, R, F>(
        &'c mut self,
        _query: F,
        args: impl IntoArgs<A>,
    ) -> BoxFuture<'c, Result<R>>
    where
        A: Args,
        R: ReturnType + 'c,
        F: Handler<QueryCtx, A, M, Returns = R>,
    {
        let function = self.call.runtime.registry().handled_by::<F>();
        let args = arguments(args);
        Box::pin(async move {
            typed(call_nested_query(&mut self.db, &self.call, function?, args?).await)
        })
    }

    /// Runs another mutation as a part of this one.
    ///
    /// When it fails, what it wrote is undone and nothing else: the error may be handled, and this mutation go on.
    ///
    /// # Errors
    /// As [`MutationCtx::run_query`].
    pub fn run_mutation<'c, A, M, R, F>(
        &'c mut self,
        _mutation: F,
        args: impl IntoArgs<A>,
    ) -> BoxFuture<'c, Result<R>>
    where
        A: Args,
        R: ReturnType + 'c,
        F: Handler<MutationCtx, A, M, Returns = R>,
    {
        let function = self.call.runtime.registry().handled_by::<F>();
        let args = arguments(args);
        Box::pin(async move { typed(call_nested_mutation(self, function?, args?).await) })
    }
}
