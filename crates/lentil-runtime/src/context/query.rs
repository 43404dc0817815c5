use lentil_call::Log;
use lentil_schema::{Args, IntoArgs};
use lentil_values::ReturnType;

use crate::call::Call;
use crate::context::Auth;
use crate::function::BoxFuture;
use crate::handler::Handler;
use crate::run::{arguments, call_nested_query, typed};
use crate::{DatabaseReader, Result, StorageReader, system};

/// A query's context.
pub struct QueryCtx {
    /// The database at the query's timestamp.
    pub db: DatabaseReader,
    /// The query's log lines.
    pub log: Log,
    /// Who is signed in.
    pub auth: Auth,
    /// Stored files.
    pub storage: StorageReader,
    pub(crate) call: Call,
}

impl QueryCtx {
    pub(crate) fn new(db: DatabaseReader, call: Call) -> QueryCtx {
        let storage = StorageReader::new(db.slot(), &call.runtime);
        QueryCtx {
            db,
            log: call.log.clone(),
            auth: call.auth.clone(),
            storage,
            call,
        }
    }

    /// Returns the time at which the query began, in whole milliseconds since the Unix epoch.
    ///
    /// It is the same all through the query.
    ///
    /// A result that has seen the time is reused for a few seconds at most.
    ///
    /// # Errors
    /// [`crate::Code::Abandoned`] after a nested call was dropped before it finished.
    pub fn now(&mut self) -> Result<f64> {
        let mut transaction = self.db.transaction()?;
        let now_ms = transaction.now_ms;
        if let Some(read_set) = transaction.read_set() {
            read_set.note_time();
        }
        Ok(now_ms.floor())
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

    /// A random number in `[0, 1)` from the query's own seed.
    pub fn random(&mut self) -> f64 {
        self.call.random()
    }

    /// Runs another query on the same snapshot.
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
}
