use std::sync::Arc;

use lentil_call::Log;
use lentil_schema::{Args, IntoArgs};
use lentil_values::ReturnType;

use crate::auth::Auth;
use crate::context::Meta;
use crate::engine::{BoxFuture, Call};
use crate::handler::{ActionHandler, Handler};
use crate::http::{Json, Secret};
use crate::run::{Idempotency, into_value, run_action, run_mutation, run_query};
use crate::typed::{arguments, typed};
use crate::{Error, MutationCtx, QueryCtx, Result, Scheduler, StorageActions};

/// An action's, or an HTTP action's, context.
///
/// It has no database: each query and each mutation it runs is a transaction of its own. It is shared, so that an
/// action may run several at once.
pub struct ActionCtx {
    /// The action's log lines.
    pub log: Log,
    /// Who is signed in.
    pub auth: Auth,
    /// The request behind the call.
    pub meta: Meta,
    /// Runs functions later, from now on.
    pub scheduler: Scheduler,
    /// Stored files.
    pub storage: StorageActions,
    call: Arc<Call>,
}

impl ActionCtx {
    pub(crate) fn new(call: Arc<Call>) -> ActionCtx {
        let scheduler = Scheduler::of_action(&call);
        let storage = StorageActions::new(&call.engine);
        let (log, auth) = (call.log.clone(), call.auth.clone());
        ActionCtx {
            log,
            auth,
            meta: Meta::new(Arc::clone(&call.source)),
            scheduler,
            storage,
            call,
        }
    }

    /// Returns the current time, in whole milliseconds since the Unix epoch.
    pub fn now(&self) -> f64 {
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

    /// An environment variable: the process's, else the one that the administrator stored, else a declared secret's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn env(&self, name: &str) -> Result<Option<String>> {
        self.call.engine.environment(name).await
    }

    /// The secret that the application declared under this name, found where [`ActionCtx::env`] looks.
    ///
    /// # Errors
    /// When it declared none.
    pub async fn secret(&self, name: &str) -> Result<Secret> {
        self.call.engine.secret(name).await
    }

    /// Runs a query on what is committed now.
    ///
    /// # Errors
    /// The query's own; or that it is not registered, or its arguments or result do not match its validators.
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

    /// As [`ActionCtx::run_query`], for a route that answers with just what the query returns: the cache keeps that as
    /// JSON too.
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

    /// Runs a mutation; when this returns, it is durable and seen by all.
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

    /// Runs another action as a part of this one.
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
