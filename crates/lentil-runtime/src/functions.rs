use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lentil_schema::Args;
use lentil_values::{ReturnType, Validator};

use crate::function::{Item, Run};
use crate::handler::{ActionHandler, ActionHandlerOn, Handler, HandlerOn};
use crate::system;
use crate::{
    ActionCtx, Code, Error, Function, FunctionPath, FunctionPathError, MutationCtx, QueryCtx,
    Result, Visibility,
};

/// The functions of one module, or of an application, with the names exactly as clients see them.
///
/// ```ignore
/// Functions::in_module("jobs").internal_mutation("upsert", upsert).query("get", get)
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
    run: Run,
    item: Item,
}

/// Two functions have one name, or a name is none.
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
    /// No functions.
    pub fn new() -> Functions {
        Functions::default()
    }

    /// The functions of the module with this name, e.g. `jobs` or `admin/jobs`.
    pub fn in_module(module: &str) -> Functions {
        Functions {
            module: module.to_owned(),
            declared: Vec::new(),
        }
    }

    /// Adds those of another module.
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
            Item::of::<F>(),
            Run::query(handler),
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
            Item::of::<F>(),
            Run::query(handler),
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
            Item::of::<F>(),
            Run::mutation(handler),
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
            Item::of::<F>(),
            Run::mutation(handler),
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
            Item::of::<F>(),
            Run::action(handler),
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
            Item::of::<F>(),
            Run::action(handler),
        )
    }

    fn declare<A: Args, R: ReturnType>(
        mut self,
        name: &str,
        visibility: Visibility,
        item: Item,
        run: Run,
    ) -> Self {
        let path = format!("{}:{name}", self.module);
        let (args, returns) = (A::validator().clone(), R::return_validator());
        self.declared.push((
            path,
            Declared {
                visibility,
                args,
                returns,
                run,
                item,
            },
        ));
        self
    }
}

impl Functions {
    /// Every function, in the order of their names.
    pub(crate) fn list(&self) -> Result<Vec<Function>, FunctionsError> {
        let functions = self.named()?;
        let is_reserved = |function: &&Function| function.path.as_str().starts_with("_system/");
        match functions.iter().find(is_reserved) {
            Some(reserved) => Err(FunctionsError::Reserved(reserved.path.clone())),
            None => Ok(functions),
        }
    }

    /// As [`Functions::list`], with the system's own functions.
    fn named(&self) -> Result<Vec<Function>, FunctionsError> {
        let mut listed = BTreeMap::new();
        for (path, declared) in &self.declared {
            let path = FunctionPath::parse(path)?;
            let Declared {
                visibility,
                args,
                returns,
                run,
                item,
            } = declared.clone();
            let function = Function {
                path: path.clone(),
                visibility,
                args,
                returns,
                run,
                item,
            };
            if listed.insert(path.clone(), function).is_some() {
                return Err(FunctionsError::Duplicate(path));
            }
        }
        Ok(listed.into_values().collect())
    }
}

/// The functions of a running application, by name and by Rust function.
pub(crate) struct Registry {
    by_path: HashMap<FunctionPath, Arc<Function>>,
    by_item: BTreeMap<Item, Arc<Function>>,
}

impl Registry {
    pub(crate) fn new(functions: &Functions) -> Result<Registry, FunctionsError> {
        let mut registry = Registry {
            by_path: HashMap::new(),
            by_item: BTreeMap::new(),
        };
        let own = system::functions().named()?;
        for function in functions.list()?.into_iter().chain(own) {
            let function = Arc::new(function);
            registry
                .by_item
                .entry(function.item)
                .or_insert_with(|| Arc::clone(&function));
            registry.by_path.insert(function.path.clone(), function);
        }
        Ok(registry)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.by_path.values()
    }

    /// The function of this name, if the caller may know of it: to the public, an internal one does not exist.
    pub(crate) fn named(&self, path: &FunctionPath, caller: Visibility) -> Result<Arc<Function>> {
        let found = self.by_path.get(path);
        let visible = |function: &&Arc<Function>| {
            caller == Visibility::Internal || function.visibility == Visibility::Public
        };
        let public = if caller == Visibility::Public {
            "public "
        } else {
            ""
        };
        found.filter(visible).cloned().ok_or_else(|| {
            let mut message = format!("Could not find {public}function for '{path}'");
            if caller == Visibility::Internal && path.as_str().starts_with("_system/") {
                message.push_str(": this server does not have that part of Convex's system");
            }
            Error::new(Code::FunctionNotFound, message).into_rejected_call()
        })
    }

    /// The registered function that an item stands for.
    pub(crate) fn of_item(&self, item: Item) -> Option<&Arc<Function>> {
        self.by_item.get(&item).filter(|_| item.is_unique())
    }

    /// The registered function whose handler is `F`.
    pub(crate) fn handled_by<F: 'static>(&self) -> Result<Arc<Function>> {
        let item = Item::of::<F>();
        self.of_item(item).cloned().ok_or_else(|| {
            let name = std::any::type_name::<F>();
            let message = format!(
                "`{name}` is not registered: add it to `functions()` of its module, and call it as the named function"
            );
            Error::new(Code::FunctionNotFound, message)
        })
    }
}
