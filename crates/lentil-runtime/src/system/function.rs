//! How the system's own functions are made.

use std::sync::Arc;

use lentil_values::{FieldName, FieldValidator, Object, ObjectValidator, Value, v};

use crate::call::Call;
use crate::function::{BoxFuture, Item, Run};
use crate::run::{Once, into_value};
use crate::{
    Caller, Function, FunctionPath, Identity, MutationCtx, QueryCtx, Result, Runtime, Visibility,
};

/// A query of the system's.
pub(crate) fn query<const N: usize>(
    path: &str,
    args: [(&'static str, FieldValidator); N],
    run: impl for<'a> Fn(&'a mut QueryCtx, Object) -> BoxFuture<'a, Result<Value>>
    + Send
    + Sync
    + 'static,
) -> Function {
    function(path, args, Run::Query(Arc::new(run)))
}

/// A mutation of the system's.
pub(crate) fn mutation<const N: usize>(
    path: &str,
    args: [(&'static str, FieldValidator); N],
    run: impl for<'a> Fn(&'a mut MutationCtx, Object) -> BoxFuture<'a, Result<Value>>
    + Send
    + Sync
    + 'static,
) -> Function {
    function(path, args, Run::Mutation(Arc::new(run)))
}

fn function<const N: usize>(
    path: &str,
    args: [(&'static str, FieldValidator); N],
    run: Run,
) -> Function {
    Function {
        path: FunctionPath::parse(path).expect("the system's own paths are well formed"),
        visibility: Visibility::Internal,
        args: ObjectValidator(
            args.into_iter()
                .map(|(name, field)| (name.to_owned(), field))
                .collect(),
        ),
        returns: v::any(),
        run,
        item: Item::none(),
    }
}

pub(crate) fn object<const N: usize>(fields: [(&'static str, Value); N]) -> Value {
    Value::Object(
        fields
            .into_iter()
            .map(|(name, value)| (FieldName::from_static(name), value))
            .collect(),
    )
}

impl Runtime {
    /// Runs one of the system's queries on its own behalf.
    pub(crate) async fn system_query(&self, path: &str, args: Object) -> Result<Value> {
        let function = self
            .registry()
            .named(&FunctionPath::parse(path)?, Visibility::Internal)?;
        let call = self.system_call(&function);
        into_value(&*self.run_query(&function, args, None, &call).await?)
    }

    /// Runs one of the system's mutations on its own behalf.
    pub(crate) async fn system_mutation(&self, path: &str, args: Object) -> Result<Value> {
        let function = self
            .registry()
            .named(&FunctionPath::parse(path)?, Visibility::Internal)?;
        let call = self.system_call(&function);
        self.run_mutation(&function, args, &call, Once::No)
            .await
            .map(|(value, _)| value)
    }

    fn system_call(&self, function: &Function) -> Call {
        let (source, name) = (self.new_source(Caller::Tester), function.path.shared());
        Call::outermost(self.clone(), Identity::Anonymous, source, &name)
    }
}
