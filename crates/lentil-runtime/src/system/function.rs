//! Calls of the system's own functions, by the engine itself.

use lentil_schema::{Args, IntoArgs};
use lentil_values::ReturnType;

use crate::engine::{Call, Engine, Function};
use crate::handler::Handler;
use crate::run::{Idempotency, into_value, run_mutation, run_query};
use crate::typed::{arguments, typed};
use crate::{Caller, Identity, MutationCtx, QueryCtx, Result, Runtime};

impl Engine {
    /// Runs one of the system's queries on what is committed now.
    ///
    /// # Errors
    /// The query's own, or the store's.
    pub(crate) async fn system_query<A, R, F>(&self, _query: F, args: impl IntoArgs<A>) -> Result<R>
    where
        A: Args,
        R: ReturnType,
        F: Handler<QueryCtx, A, Returns = R>,
    {
        let function = self.registry().handled_by::<F>()?;
        let call = self.system_call(&function);
        let run = run_query(&function, arguments(args)?, None, &call);
        let run = run.await?;
        typed(into_value(&run))
    }

    /// Runs one of the system's mutations; its writes are durable when this returns.
    ///
    /// # Errors
    /// The mutation's own, or the store's.
    pub(crate) async fn system_mutation<A, R, F>(
        &self,
        _mutation: F,
        args: impl IntoArgs<A>,
    ) -> Result<R>
    where
        A: Args,
        R: ReturnType,
        F: Handler<MutationCtx, A, Returns = R>,
    {
        let function = self.registry().handled_by::<F>()?;
        let call = self.system_call(&function);
        let run = run_mutation(&function, arguments(args)?, &call, Idempotency::None);
        typed(run.await.map(|(value, _)| value))
    }

    fn system_call(&self, function: &Function) -> Call {
        let source = self.new_source(Caller::Tester);
        Call::outermost(
            self.clone(),
            Identity::Anonymous,
            source,
            &function.path.shared(),
        )
    }
}

impl Runtime {
    /// Runs one of the system's queries on what is committed now.
    ///
    /// # Errors
    /// The query's own, or the store's.
    pub async fn system_query<A, R, F>(&self, query: F, args: impl IntoArgs<A>) -> Result<R>
    where
        A: Args,
        R: ReturnType,
        F: Handler<QueryCtx, A, Returns = R>,
    {
        self.engine.system_query(query, args).await
    }

    /// Runs one of the system's mutations; its writes are durable when this returns.
    ///
    /// # Errors
    /// The mutation's own, or the store's.
    pub async fn system_mutation<A, R, F>(&self, mutation: F, args: impl IntoArgs<A>) -> Result<R>
    where
        A: Args,
        R: ReturnType,
        F: Handler<MutationCtx, A, Returns = R>,
    {
        self.engine.system_mutation(mutation, args).await
    }
}
