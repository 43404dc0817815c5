use std::sync::Arc;

use lentil_call::{Error, Log, Result};
use lentil_schema::{Args, IntoArgs};
use lentil_values::ReturnType;

use super::meta::Meta;
use super::mutation::MutationCtx;
use super::query::QueryCtx;
use crate::auth::Auth;
use crate::engine::{BoxFuture, Call};
use crate::environment;
use crate::handler::{ActionHandler, Handler};
use crate::http::{Json, Secret};
use crate::run::{Idempotency, into_value, run_action, run_mutation, run_query};
use crate::schedule::Scheduler;
use crate::storage::StorageActions;
use crate::typed::{arguments, typed};

/// The context of an action or an HTTP action: its first argument.
///
/// It has no database. Each query or mutation that it runs is a separate transaction. The context
/// is shared, so that an action can run several calls at the same time.
///
/// ```
/// use lentil::{ActionCtx, Args, MutationCtx, QueryCtx, Result};
///
/// #[derive(Args)]
/// struct Notify {
///     email: String,
/// }
///
/// async fn emails(_ctx: &mut QueryCtx, (): ()) -> Result<Vec<String>> {
///     Ok(Vec::new())
/// }
///
/// async fn mark_sent(_ctx: &mut MutationCtx, _args: Notify) -> Result<()> {
///     Ok(())
/// }
///
/// async fn send_all(ctx: &ActionCtx, (): ()) -> Result<()> {
///     for email in ctx.run_query(emails, ()).await? {
///         // Call a mail service here, then record that the message was sent.
///         ctx.run_mutation(mark_sent, Notify { email }).await?;
///     }
///     Ok(())
/// }
/// ```
pub struct ActionCtx {
    /// The action's log lines.
    pub log: Log,
    /// The signed-in user.
    pub auth: Auth,
    /// The request that caused the call.
    pub meta: Meta,
    /// Schedules functions.
    pub scheduler: Scheduler,
    /// Stored files.
    pub storage: StorageActions,
    call: Arc<Call>,
}

impl ActionCtx {
    pub(crate) fn new(call: Arc<Call>) -> ActionCtx {
        ActionCtx {
            log: call.log.clone(),
            auth: call.auth.clone(),
            meta: Meta::new(Arc::clone(&call.source)),
            scheduler: Scheduler::of_action(&call),
            storage: StorageActions::new(&call.engine),
            call,
        }
    }

    /// Returns the current time, in whole milliseconds since the Unix epoch.
    pub fn now(&self) -> f64 {
        // Whole milliseconds, as JavaScript's `Date.now()` returns in Convex.
        self.call.engine.now_ms().floor()
    }

    /// Returns a random number in `[0, 1)`.
    pub fn random(&self) -> f64 {
        self.call.random.next_f64(self.call.engine.seeds())
    }

    /// Returns `count` random bytes. No one can predict them: they are fit for keys and tokens.
    pub fn random_bytes(&self, count: usize) -> Vec<u8> {
        self.call.random.bytes(count, self.call.engine.seeds())
    }

    /// Returns an environment variable: of the process, or the value that the administrator
    /// stored, or a declared secret.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn env(&self, name: &str) -> Result<Option<String>> {
        environment::variable_now(&self.call.engine, name).await
    }

    /// Returns the secret that the application declared with this name, from the same sources as
    /// [`ActionCtx::env`].
    ///
    /// # Errors
    /// When the application declared no such secret.
    pub async fn secret(&self, name: &str) -> Result<Secret> {
        environment::secret(&self.call.engine, name).await
    }

    /// Runs a query on the commits so far.
    ///
    /// # Errors
    /// As [`QueryCtx::run_query`].
    pub fn run_query<'c, A, M, R, F>(
        &'c self,
        _query: F,
        args: impl IntoArgs<A>,
    ) -> BoxFuture<'c, Result<R>>
    where
        A: Args,
        R: ReturnType + 'c,
        F: Handler<QueryCtx, A, M, Returns = R>,
    {
        let function = self.call.engine.registry().handled_by::<F>();
        let args = arguments(args);
        Box::pin(async move {
            let function = function?;
            let call = self.call.nested(&function.path)?;
            let run = run_query(&function, args?, None, &call).await;
            typed(run.and_then(|run| into_value(&run)))
        })
    }

    /// Runs a query and returns its result as JSON, for a route whose response is that result. The
    /// cache keeps the JSON.
    ///
    /// # Errors
    /// As [`ActionCtx::run_query`].
    pub fn run_query_json<'c, A, M, R, F>(
        &'c self,
        _query: F,
        args: impl IntoArgs<A>,
    ) -> BoxFuture<'c, Result<Json>>
    where
        A: Args,
        R: ReturnType + 'c,
        F: Handler<QueryCtx, A, M, Returns = R>,
    {
        let function = self.call.engine.registry().handled_by::<F>();
        let args = arguments(args);
        Box::pin(async move {
            let function = function?;
            let call = self.call.nested(&function.path)?;
            let run = run_query(&function, args?, None, &call).await;
            let json = run.and_then(|run| run.json());
            json.map(Json::new).map_err(Error::into_callee_error)
        })
    }

    /// Runs a mutation. It is durable and visible to everyone when this returns.
    ///
    /// # Errors
    /// As [`ActionCtx::run_query`].
    pub fn run_mutation<'c, A, M, R, F>(
        &'c self,
        _mutation: F,
        args: impl IntoArgs<A>,
    ) -> BoxFuture<'c, Result<R>>
    where
        A: Args,
        R: ReturnType + 'c,
        F: Handler<MutationCtx, A, M, Returns = R>,
    {
        let function = self.call.engine.registry().handled_by::<F>();
        let args = arguments(args);
        Box::pin(async move {
            let function = function?;
            let call = self.call.nested(&function.path)?;
            let result = run_mutation(&function, args?, &call, Idempotency::None).await;
            typed(result.map(|(value, _)| value))
        })
    }

    /// Runs another action as part of this one.
    ///
    /// # Errors
    /// As [`ActionCtx::run_query`].
    pub fn run_action<'c, A, M, R, F>(
        &'c self,
        _action: F,
        args: impl IntoArgs<A>,
    ) -> BoxFuture<'c, Result<R>>
    where
        A: Args,
        R: ReturnType + 'c,
        F: ActionHandler<ActionCtx, A, M, Returns = R>,
    {
        let function = self.call.engine.registry().handled_by::<F>();
        let args = arguments(args);
        Box::pin(async move {
            let function = function?;
            let call = self.call.nested(&function.path)?;
            typed(run_action(&function, args?, call).await)
        })
    }
}
