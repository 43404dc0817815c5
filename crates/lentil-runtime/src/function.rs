use std::any::TypeId;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use lentil_schema::Args;
use lentil_values::{Object, ObjectValidator, ReturnType, Validator, Value};

use crate::handler::{ActionHandler, ActionHandlerOn, Handler, HandlerOn};
use crate::{
    ActionCtx, Code, Error, FunctionKind, FunctionPath, MutationCtx, QueryCtx, Result, Visibility,
};

/// A boxed future, as the registry keeps a function's.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A registered function.
pub struct Function {
    pub(crate) path: FunctionPath,
    pub(crate) visibility: Visibility,
    pub(crate) args: ObjectValidator,
    pub(crate) returns: Validator,
    pub(crate) run: Run,
    pub(crate) item: Item,
}

impl Function {
    /// Its name.
    pub fn path(&self) -> &FunctionPath {
        &self.path
    }

    /// Query, mutation or action.
    pub fn kind(&self) -> FunctionKind {
        self.run.kind()
    }

    /// Who may call it.
    pub fn visibility(&self) -> Visibility {
        self.visibility
    }

    /// What its arguments must be.
    pub fn args(&self) -> &ObjectValidator {
        &self.args
    }

    /// What it returns.
    pub fn returns(&self) -> &Validator {
        &self.returns
    }
}

type QueryRun =
    Arc<dyn for<'a> Fn(&'a mut QueryCtx, Object) -> BoxFuture<'a, Result<Value>> + Send + Sync>;
type MutationRun =
    Arc<dyn for<'a> Fn(&'a mut MutationCtx, Object) -> BoxFuture<'a, Result<Value>> + Send + Sync>;
type ActionRun =
    Arc<dyn for<'a> Fn(&'a ActionCtx, Object) -> BoxFuture<'a, Result<Value>> + Send + Sync>;

/// The handler behind a function, its types erased.
#[derive(Clone)]
pub(crate) enum Run {
    Query(QueryRun),
    Mutation(MutationRun),
    Action(ActionRun),
}

impl Run {
    pub(crate) fn query<A, M, R, F>(handler: F) -> Run
    where
        A: Args,
        R: ReturnType + Send,
        F: Handler<QueryCtx, A, M, Returns = R> + Send + Sync,
        for<'a> <F as HandlerOn<'a, QueryCtx, A, M>>::Future: Send,
    {
        let handler = Arc::new(handler);
        Run::Query(Arc::new(move |ctx, args| {
            let handler = Arc::clone(&handler);
            Box::pin(async move { handler.call(ctx, decode(args)?).await.map(R::into_return) })
        }))
    }

    pub(crate) fn mutation<A, M, R, F>(handler: F) -> Run
    where
        A: Args,
        R: ReturnType + Send,
        F: Handler<MutationCtx, A, M, Returns = R> + Send + Sync,
        for<'a> <F as HandlerOn<'a, MutationCtx, A, M>>::Future: Send,
    {
        let handler = Arc::new(handler);
        Run::Mutation(Arc::new(move |ctx, args| {
            let handler = Arc::clone(&handler);
            Box::pin(async move { handler.call(ctx, decode(args)?).await.map(R::into_return) })
        }))
    }

    pub(crate) fn action<A, M, R, F>(handler: F) -> Run
    where
        A: Args,
        R: ReturnType + Send,
        F: ActionHandler<ActionCtx, A, M, Returns = R> + Send + Sync,
        for<'a> <F as ActionHandlerOn<'a, ActionCtx, A, M>>::Future: Send,
    {
        let handler = Arc::new(handler);
        Run::Action(Arc::new(move |ctx, args| {
            let handler = Arc::clone(&handler);
            Box::pin(async move { handler.call(ctx, decode(args)?).await.map(R::into_return) })
        }))
    }

    fn kind(&self) -> FunctionKind {
        match self {
            Run::Query(_) => FunctionKind::Query,
            Run::Mutation(_) => FunctionKind::Mutation,
            Run::Action(_) => FunctionKind::Action,
        }
    }
}

fn decode<A: Args>(args: Object) -> Result<A> {
    A::from_object(args)
        .map_err(|error| Error::new(Code::ArgumentValidation, format!("argument {error}")))
}

/// Which Rust function a handler is, so that a call can name it by itself: `ctx.run_query(jobs::get, …)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item(Option<TypeId>);

impl Item {
    /// Named functions and closures that capture nothing have a type of their own; a function pointer does not.
    pub(crate) fn of<F: 'static>() -> Item {
        Item((size_of::<F>() == 0).then(TypeId::of::<F>))
    }

    pub(crate) fn is_unique(self) -> bool {
        self.0.is_some()
    }
}
