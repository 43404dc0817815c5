use std::collections::BTreeMap;
use std::sync::Arc;

use lentil_call::{Code, Error, FunctionPath, FunctionPathError, Result, Visibility};
use lentil_schema::Args;
use lentil_values::{Object, ReturnType, Validator};

use crate::context::{ActionCtx, MutationCtx, QueryCtx};
use crate::engine::{Function, FunctionTypeId, Runner};
use crate::handler::{ActionHandler, ActionHandlerOn, Handler, HandlerOn};

/// The functions of a module or of an application, with the names that clients see.
///
/// ```
/// use lentil::{Functions, MutationCtx, QueryCtx, Result};
///
/// async fn count(_ctx: &mut QueryCtx, (): ()) -> Result<f64> {
///     Ok(0.0)
/// }
///
/// async fn reset(_ctx: &mut MutationCtx, (): ()) -> Result<()> {
///     Ok(())
/// }
///
/// // Clients call `visits:count`. Only other functions call `visits:reset`.
/// let visits = Functions::in_module("visits")
///     .query("count", count)
///     .internal_mutation("reset", reset);
/// let all = Functions::new().with(visits);
/// ```
#[derive(Default)]
pub struct Functions {
    module: String,
    declared: Vec<(String, Declared)>,
}

#[derive(Clone)]
struct Declared {
    visibility: Visibility,
    args: lentil_values::ObjectValidator,
    returns: Validator,
    runner: Runner,
    type_id: FunctionTypeId,
}

/// An error in the names of functions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FunctionsError {
    /// A module's or a function's name is malformed: rename it.
    #[error(transparent)]
    Path(#[from] FunctionPathError),
    /// Two functions are registered under one name: rename one.
    #[error("two functions are registered as `{0}`")]
    Duplicate(FunctionPath),
    /// The modules under `_system` are the system's own: rename it.
    #[error("the function `{0}` is in the system's own module `_system`; choose another")]
    Reserved(FunctionPath),
}

impl Functions {
    /// Returns no functions.
    pub fn new() -> Functions {
        Functions::default()
    }

    /// Returns no functions yet, of the module with this name, e.g. `jobs` or `admin/jobs`.
    pub fn in_module(module: &str) -> Functions {
        Functions {
            module: module.to_owned(),
            declared: Vec::new(),
        }
    }

    /// Adds the functions of another module.
    #[must_use]
    pub fn with(mut self, other: Functions) -> Functions {
        self.declared.extend(other.declared);
        self
    }

    /// Registers a query that every client may call.
    #[must_use]
    pub fn query<A, M, R, F>(self, name: &str, handler: F) -> Self
    where
        A: Args,
        R: ReturnType + Send,
        F: Handler<QueryCtx, A, M, Returns = R> + Send + Sync,
        for<'a> <F as HandlerOn<'a, QueryCtx, A, M>>::Future: Send,
    {
        self.declare::<A, R>(
            name,
            Visibility::Public,
            FunctionTypeId::of::<F>(),
            query_runner(handler),
        )
    }

    /// Registers a query that only other functions and the administrator may call.
    #[must_use]
    pub fn internal_query<A, M, R, F>(self, name: &str, handler: F) -> Self
    where
        A: Args,
        R: ReturnType + Send,
        F: Handler<QueryCtx, A, M, Returns = R> + Send + Sync,
        for<'a> <F as HandlerOn<'a, QueryCtx, A, M>>::Future: Send,
    {
        self.declare::<A, R>(
            name,
            Visibility::Internal,
            FunctionTypeId::of::<F>(),
            query_runner(handler),
        )
    }

    /// Registers a mutation that every client may call.
    #[must_use]
    pub fn mutation<A, M, R, F>(self, name: &str, handler: F) -> Self
    where
        A: Args,
        R: ReturnType + Send,
        F: Handler<MutationCtx, A, M, Returns = R> + Send + Sync,
        for<'a> <F as HandlerOn<'a, MutationCtx, A, M>>::Future: Send,
    {
        self.declare::<A, R>(
            name,
            Visibility::Public,
            FunctionTypeId::of::<F>(),
            mutation_runner(handler),
        )
    }

    /// Registers a mutation that only other functions and the administrator may call.
    #[must_use]
    pub fn internal_mutation<A, M, R, F>(self, name: &str, handler: F) -> Self
    where
        A: Args,
        R: ReturnType + Send,
        F: Handler<MutationCtx, A, M, Returns = R> + Send + Sync,
        for<'a> <F as HandlerOn<'a, MutationCtx, A, M>>::Future: Send,
    {
        self.declare::<A, R>(
            name,
            Visibility::Internal,
            FunctionTypeId::of::<F>(),
            mutation_runner(handler),
        )
    }

    /// Registers an action that every client may call.
    #[must_use]
    pub fn action<A, M, R, F>(self, name: &str, handler: F) -> Self
    where
        A: Args,
        R: ReturnType + Send,
        F: ActionHandler<ActionCtx, A, M, Returns = R> + Send + Sync,
        for<'a> <F as ActionHandlerOn<'a, ActionCtx, A, M>>::Future: Send,
    {
        self.declare::<A, R>(
            name,
            Visibility::Public,
            FunctionTypeId::of::<F>(),
            action_runner(handler),
        )
    }

    /// Registers an action that only other functions and the administrator may call.
    #[must_use]
    pub fn internal_action<A, M, R, F>(self, name: &str, handler: F) -> Self
    where
        A: Args,
        R: ReturnType + Send,
        F: ActionHandler<ActionCtx, A, M, Returns = R> + Send + Sync,
        for<'a> <F as ActionHandlerOn<'a, ActionCtx, A, M>>::Future: Send,
    {
        self.declare::<A, R>(
            name,
            Visibility::Internal,
            FunctionTypeId::of::<F>(),
            action_runner(handler),
        )
    }

    fn declare<A: Args, R: ReturnType>(
        mut self,
        name: &str,
        visibility: Visibility,
        type_id: FunctionTypeId,
        runner: Runner,
    ) -> Self {
        // `named` parses the path and reports the error, so that these calls can be chained.
        let path = format!("{}:{name}", self.module);
        let declared = Declared {
            visibility,
            args: A::validator().clone(),
            returns: R::return_validator(),
            runner,
            type_id,
        };
        self.declared.push((path, declared));
        self
    }
}

impl Functions {
    /// Returns every function, in the order of their paths.
    pub(crate) fn list(&self) -> Result<Vec<Function>, FunctionsError> {
        let functions = self.named()?;
        let is_reserved = |function: &&Function| function.path.is_system();
        match functions.iter().find(is_reserved) {
            Some(reserved) => Err(FunctionsError::Reserved(reserved.path.clone())),
            None => Ok(functions),
        }
    }

    /// Returns the path of the function whose handler has this type.
    pub(crate) fn path_of(&self, handler: FunctionTypeId) -> Option<FunctionPath> {
        let (path, _) = self
            .declared
            .iter()
            .find(|(_, declared)| handler.is_unique() && declared.type_id == handler)?;
        FunctionPath::parse(path).ok()
    }

    /// Returns every function like [`Functions::list`], including those of the system's own module.
    pub(crate) fn named(&self) -> Result<Vec<Function>, FunctionsError> {
        let mut listed = BTreeMap::new();
        for (path, declared) in &self.declared {
            let path = FunctionPath::parse(path)?;
            let Declared {
                visibility,
                args,
                returns,
                runner,
                type_id,
            } = declared.clone();
            let function = Function {
                path: path.clone(),
                visibility,
                args_have_ids: args.has_ids(),
                args,
                returns,
                runner,
                type_id,
            };
            if listed.insert(path.clone(), function).is_some() {
                return Err(FunctionsError::Duplicate(path));
            }
        }
        Ok(listed.into_values().collect())
    }
}

fn query_runner<A, M, R, F>(handler: F) -> Runner
where
    A: Args,
    R: ReturnType + Send,
    F: Handler<QueryCtx, A, M, Returns = R> + Send + Sync,
    for<'a> <F as HandlerOn<'a, QueryCtx, A, M>>::Future: Send,
{
    // Shared, because the future of each call is `'static` and needs the handler.
    let handler = Arc::new(handler);
    Runner::Query(Arc::new(move |cell, call, args| {
        let handler = Arc::clone(&handler);
        Box::pin(async move {
            let args = decode(args)?;
            let mut ctx = QueryCtx::new(cell, call);
            handler.call(&mut ctx, args).await.map(R::into_return)
        })
    }))
}

fn mutation_runner<A, M, R, F>(handler: F) -> Runner
where
    A: Args,
    R: ReturnType + Send,
    F: Handler<MutationCtx, A, M, Returns = R> + Send + Sync,
    for<'a> <F as HandlerOn<'a, MutationCtx, A, M>>::Future: Send,
{
    let handler = Arc::new(handler);
    Runner::Mutation(Arc::new(move |cell, call, args| {
        let handler = Arc::clone(&handler);
        Box::pin(async move {
            let args = decode(args)?;
            let mut ctx = MutationCtx::new(cell, call);
            handler.call(&mut ctx, args).await.map(R::into_return)
        })
    }))
}

fn action_runner<A, M, R, F>(handler: F) -> Runner
where
    A: Args,
    R: ReturnType + Send,
    F: ActionHandler<ActionCtx, A, M, Returns = R> + Send + Sync,
    for<'a> <F as ActionHandlerOn<'a, ActionCtx, A, M>>::Future: Send,
{
    let handler = Arc::new(handler);
    Runner::Action(Arc::new(move |call, args| {
        let handler = Arc::clone(&handler);
        Box::pin(async move {
            let args = decode(args)?;
            let ctx = ActionCtx::new(call);
            handler.call(&ctx, args).await.map(R::into_return)
        })
    }))
}

fn decode<A: Args>(args: Object) -> Result<A> {
    A::from_object(args)
        .map_err(|error| Error::new(Code::ArgumentValidation, format!("argument {error}")))
}
