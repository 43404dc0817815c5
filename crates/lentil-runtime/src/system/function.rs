//! Calls of the system's own functions, by the engine itself.

use lentil_schema::{Args, IntoArgs};
use lentil_values::ReturnType;

use crate::call::Call;
use crate::handler::Handler;
use crate::run::{Once, arguments, into_value, typed};
use crate::{Caller, Function, Identity, MutationCtx, QueryCtx, Result, Runtime};

impl Runtime {
    /// Runs one of the system's queries on what is committed now.
    ///
    /// # Errors
    /// The query's own, or the store's.
    pub async fn system_query<A, R, F>(&self, _query: F, args: impl IntoArgs<A>) -> Result<R>
    where
        A: Args,
        R: ReturnType,
        F: Handler<QueryCtx, A, Returns = R>,
    {
        let function = self.registry().handled_by::<F>()?;
        let call = self.system_call(&function);
        let run = self.run_query(&function, arguments(args)?, None, &call);
        typed(into_value(&*run.await?))
    }

    /// Runs one of the system's mutations; its writes are durable when this returns.
    ///
    /// # Errors
    /// The mutation's own, or the store's.
    pub async fn system_mutation<A, R, F>(&self, _mutation: F, args: impl IntoArgs<A>) -> Result<R>
    where
        A: Args,
        R: ReturnType,
        F: Handler<MutationCtx, A, Returns = R>,
    {
        let function = self.registry().handled_by::<F>()?;
        let call = self.system_call(&function);
        let run = self.run_mutation(&function, arguments(args)?, &call, Once::No);
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
