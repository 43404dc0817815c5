use std::sync::Arc;

use lentil_values::{Object, Value};
use tokio::time::Instant;

use super::check::{check_args, check_result};
use super::guard::guard;
use super::mutation::Once;
use super::nested::wrong_kind;
use super::query::into_value;
use crate::call::Call;
use crate::executions::Ended;
use crate::function::Run;
use crate::http::Json;
use crate::{ActionCtx, Function, FunctionKind, Result, Runtime};

impl Runtime {
    pub(crate) async fn run_action(
        &self,
        function: &Arc<Function>,
        args: Object,
        call: Call,
    ) -> Result<Value> {
        let Run::Action(run) = &function.run else {
            return Err(wrong_kind(function, FunctionKind::Action));
        };
        let (name, began) = (function.path.shared(), Instant::now());
        let ctx = ActionCtx::new(call);
        let result = match check_args(self, function, &args) {
            Ok(()) => {
                let limit = self.limits().action_time;
                guard(&name, began, limit, run(&ctx, args).as_mut()).await
            }
            Err(error) => Err(error),
        };
        let result = result.and_then(|value| check_result(self, function, &value).map(|()| value));
        let (call, kind) = (ctx.call(), Some(FunctionKind::Action));
        self.record(call, Ended::of(call, name, kind, began, &result));
        result
    }

    pub(crate) async fn query_from_action(
        &self,
        caller: &Call,
        function: Arc<Function>,
        args: Object,
    ) -> Result<Value> {
        let call = caller.nested(&function.path)?;
        into_value(&*self.run_query(&function, args, None, &call).await?)
    }

    pub(crate) async fn json_from_action(
        &self,
        caller: &Call,
        function: Arc<Function>,
        args: Object,
    ) -> Result<Json> {
        let call = caller.nested(&function.path)?;
        self.run_query(&function, args, None, &call)
            .await?
            .json()
            .map(Json::new)
    }

    pub(crate) async fn mutation_from_action(
        &self,
        caller: &Call,
        function: Arc<Function>,
        args: Object,
    ) -> Result<Value> {
        let call = caller.nested(&function.path)?;
        self.run_mutation(&function, args, &call, Once::No)
            .await
            .map(|(value, _)| value)
    }

    pub(crate) async fn action_from_action(
        &self,
        caller: &Call,
        function: Arc<Function>,
        args: Object,
    ) -> Result<Value> {
        let call = caller.nested(&function.path)?;
        self.run_action(&function, args, call).await
    }
}
