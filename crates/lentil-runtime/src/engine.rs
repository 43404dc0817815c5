//! The parts of a running application, its functions, and calls of them.
//!
//! Three types need each other, so they share this file: the [`Engine`] holds the [`Registry`] of
//! functions, a [`Function`] takes a [`Call`], and a call reaches the engine. A registered function
//! hides the type of its handler: its runner creates the handler's context, so that nothing here
//! knows contexts.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::Arc;

use lentil_call::{
    CallSource, Caller, Code, Error, FunctionKind, FunctionPath, Identity, Limits, Log, Random,
    RequestId, Result, Seeds, Visibility,
};
use lentil_database::{DatabaseEnv, LargeReadPermit, Tables, TransactionCell};
use lentil_store::{ContentHash, Store, Timestamp};
use lentil_values::{Object, ObjectValidator, Validator, Value};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::Span;

use crate::auth::Auth;
use crate::cache::QueryCache;
use crate::executions::{Ended, ExecutedCall, ExecutionId, ExecutionLog};
use crate::files::FileParts;
use crate::live::LiveQueries;
use crate::memory::Memory;
use crate::server_paths::ServerPaths;
use crate::variables::EnvironmentParts;
use crate::write_lock::WriteLockHolder;

/// A boxed future, as functions return it.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The parts of a running application that calls share. A clone is another handle to the same
/// parts.
#[derive(Clone)]
pub(crate) struct Engine(Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) database: Arc<DatabaseEnv>,
    pub(crate) registry: Registry,
    /// The method and path of each route.
    pub(crate) routes: Vec<(String, String)>,
    pub(crate) environment: EnvironmentParts,
    pub(crate) cache: Arc<QueryCache>,
    pub(crate) live: Arc<LiveQueries>,
    pub(crate) executions: ExecutionLog,
    pub(crate) write_lock_holder: WriteLockHolder,
    pub(crate) files: FileParts,
    /// Removes the blobs of deleted files that no other file has. It belongs to a layer above.
    pub(crate) release_blobs: fn(&Engine, Vec<ContentHash>),
    pub(crate) origin: String,
    pub(crate) server_paths: ServerPaths,
    pub(crate) memory: Memory,
    pub(crate) dev: bool,
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Engine {
        Engine(Arc::new(parts))
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Returns the timestamp up to which commits are durable and visible.
    pub(crate) fn published(&self) -> Timestamp {
        self.0.store.published()
    }

    pub(crate) fn database(&self) -> &Arc<DatabaseEnv> {
        &self.0.database
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.database.limits
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.0.database.tables
    }

    pub(crate) fn seeds(&self) -> &Seeds {
        &self.0.database.seeds
    }

    /// Returns the current time, in milliseconds since the Unix epoch, with a fraction.
    pub(crate) fn now_ms(&self) -> f64 {
        self.0.database.now_ms()
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(crate) fn cache(&self) -> &QueryCache {
        &self.0.cache
    }

    pub(crate) fn live(&self) -> &Arc<LiveQueries> {
        &self.0.live
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.0.memory
    }

    pub(crate) fn origin(&self) -> &str {
        &self.0.origin
    }

    /// Returns a request id that no other request has.
    pub(crate) fn new_request_id(&self) -> RequestId {
        RequestId::made(self.seeds().next_u64())
    }

    /// Returns the source of a call that no request has caused.
    pub(crate) fn new_source(&self, caller: Caller) -> CallSource {
        CallSource::new(caller, self.new_request_id())
    }

    /// Records an execution for `npx convex logs`. The system's own functions are recorded only
    /// when they fail.
    pub(crate) fn record<T>(&self, call: &Call, ended: Ended<'_, T>) {
        if ended.result.is_err() || !ended.identifier.starts_with(FunctionPath::SYSTEM_PREFIX) {
            let executions = &self.0.executions;
            executions.record(self.now_ms(), call.executed(), ended);
        }
    }
}

/// A call that is being served: who calls, from where, and how deep calls are nested.
pub(crate) struct Call {
    pub(crate) engine: Engine,
    pub(crate) log: Log,
    pub(crate) random: Random,
    pub(crate) auth: Auth,
    pub(crate) source: Arc<CallSource>,
    pub(crate) execution: ExecutionId,
    /// The execution that made this call; `None` for a call from outside.
    parent: Option<ExecutionId>,
    /// The permit that a large query took; held until its result is charged to a client.
    pub(crate) large_read: Mutex<Option<LargeReadPermit>>,
    depth: usize,
}

impl Call {
    /// Returns a call from outside, of the function or route of this name.
    pub(crate) fn outermost(
        engine: Engine,
        identity: Identity,
        source: impl Into<Arc<CallSource>>,
        name: &Arc<str>,
    ) -> Call {
        let source = source.into();
        Call {
            log: Log::new(engine.limits(), &source, name),
            random: Random::default(),
            auth: Auth::new(identity),
            source,
            execution: engine.0.executions.next_id(),
            parent: None,
            large_read: Mutex::default(),
            depth: 1,
            engine,
        }
    }

    /// Returns a call that this one makes. It shares the log, and is one level deeper.
    pub(crate) fn nested(&self, path: &FunctionPath) -> Result<Call> {
        let limit = self.engine.limits().call_depth;
        if self.depth >= limit {
            let message = format!(
                "`{path}` would be nested {} calls deep; the limit is {limit}",
                self.depth + 1
            );
            return Err(Error::new(Code::LimitExceeded, message));
        }
        Ok(Call {
            engine: self.engine.clone(),
            // The log and the flag in `auth` are shared with the caller. The caller's result
            // depends on the user if a nested call asks for its user.
            log: self.log.of(&path.shared()),
            random: Random::default(),
            auth: self.auth.clone(),
            source: Arc::clone(&self.source),
            execution: self.engine.0.executions.next_id(),
            parent: Some(self.execution),
            large_read: Mutex::default(),
            depth: self.depth + 1,
        })
    }

    /// Returns an attempt at this call. It has its own log, and its own record of whether the
    /// function asked for its user.
    pub(crate) fn attempt(&self, name: &Arc<str>) -> Call {
        Call {
            engine: self.engine.clone(),
            log: Log::new(self.engine.limits(), &self.source, name),
            random: Random::default(),
            auth: Auth::new(self.auth.identity().clone()),
            source: Arc::clone(&self.source),
            execution: self.execution,
            parent: self.parent,
            large_read: Mutex::default(),
            depth: 1,
        }
    }

    /// Returns the span of the call in the trace.
    pub(crate) fn span(&self) -> Span {
        let function = self.log.function();
        let request_id = &self.source.request_id;
        tracing::debug_span!("call", function, %request_id)
    }

    fn executed(&self) -> ExecutedCall<'_> {
        ExecutedCall {
            id: self.execution,
            parent: self.parent,
            identity: self.auth.identity().name(),
            source: &self.source,
        }
    }

    /// Returns the end of an execution that this call made itself, with the lines of its log.
    pub(crate) fn ended<'r, T>(
        &self,
        identifier: Arc<str>,
        kind: Option<FunctionKind>,
        began: Instant,
        result: &'r Result<T>,
    ) -> Ended<'r, T> {
        Ended {
            identifier,
            kind,
            log_lines: self.log.lines(),
            began,
            is_cached: false,
            result,
        }
    }
}

/// A registered function.
pub struct Function {
    pub(crate) path: FunctionPath,
    pub(crate) visibility: Visibility,
    pub(crate) args: ObjectValidator,
    pub(crate) args_have_ids: bool,
    pub(crate) returns: Validator,
    pub(crate) runner: Runner,
    pub(crate) type_id: FunctionTypeId,
}

impl Function {
    /// Returns its path, such as `jobs:upsert`.
    pub fn path(&self) -> &FunctionPath {
        &self.path
    }

    /// Returns whether it is a query, a mutation or an action.
    pub fn kind(&self) -> FunctionKind {
        match self.runner {
            Runner::Query(_) => FunctionKind::Query,
            Runner::Mutation(_) => FunctionKind::Mutation,
            Runner::Action(_) => FunctionKind::Action,
        }
    }

    /// Returns whether clients may call it.
    pub fn visibility(&self) -> Visibility {
        self.visibility
    }

    /// Returns the validator of its arguments.
    pub fn args(&self) -> &ObjectValidator {
        &self.args
    }

    /// Returns the validator of its result.
    pub fn returns(&self) -> &Validator {
        &self.returns
    }
}

/// Runs a handler with the transaction in a cell.
type TransactionRunner =
    Arc<dyn Fn(TransactionCell, Call, Object) -> BoxFuture<'static, Result<Value>> + Send + Sync>;
/// Runs an action's handler.
type ActionRunner =
    Arc<dyn Fn(Arc<Call>, Object) -> BoxFuture<'static, Result<Value>> + Send + Sync>;

/// The handler of a function, without its types.
#[derive(Clone)]
pub(crate) enum Runner {
    Query(TransactionRunner),
    Mutation(TransactionRunner),
    Action(ActionRunner),
}

/// The type of a Rust function, by which a call names it: `ctx.run_query(jobs::get, …)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FunctionTypeId(Option<TypeId>);

impl FunctionTypeId {
    /// Returns whether the function has an id.
    pub(crate) fn is_unique(self) -> bool {
        self.0.is_some()
    }

    /// Returns the id of a named function, or of a closure that captures nothing. Each has its own
    /// type. A function pointer shares its type with others, and gets no id.
    pub fn of<F: 'static>() -> FunctionTypeId {
        FunctionTypeId((size_of::<F>() == 0).then(TypeId::of::<F>))
    }
}

/// The functions of a running application, by path and by Rust function.
pub(crate) struct Registry {
    by_path: HashMap<FunctionPath, Arc<Function>>,
    by_type: BTreeMap<FunctionTypeId, Arc<Function>>,
}

impl Registry {
    pub(crate) fn new(functions: Vec<Function>) -> Registry {
        let mut by_path = HashMap::new();
        let mut by_type = BTreeMap::new();
        for function in functions {
            let function = Arc::new(function);
            by_type
                .entry(function.type_id)
                // A handler may be registered under two paths. A call by handler then means the
                // first path.
                .or_insert_with(|| Arc::clone(&function));
            by_path.insert(function.path.clone(), function);
        }
        Registry { by_path, by_type }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.by_path.values()
    }

    /// Finds the function of this path. For a public caller, internal functions do not exist.
    pub(crate) fn named(&self, path: &FunctionPath, caller: Visibility) -> Result<Arc<Function>> {
        let is_public_caller = caller == Visibility::Public;
        match self.by_path.get(path) {
            Some(function) if !is_public_caller || function.visibility == Visibility::Public => {
                Ok(Arc::clone(function))
            }
            _ => {
                // The message begins as in Convex.
                let public = if is_public_caller { "public " } else { "" };
                let mut message = format!("Could not find {public}function for '{path}'");
                if !is_public_caller && path.is_system() {
                    message.push_str(": this server does not have that part of Convex's system");
                }
                Err(Error::new(Code::FunctionNotFound, message).into_rejected_call())
            }
        }
    }

    /// Finds the registered function with this handler type.
    pub(crate) fn of_type(&self, type_id: FunctionTypeId) -> Option<&Arc<Function>> {
        // Handlers without an id share the entry `None`.
        self.by_type.get(&type_id).filter(|_| type_id.is_unique())
    }

    /// Finds the registered function whose handler is `F`.
    pub(crate) fn handled_by<F: 'static>(&self) -> Result<Arc<Function>> {
        self.of_type(FunctionTypeId::of::<F>()).cloned().ok_or_else(|| {
            let name = std::any::type_name::<F>();
            let message = format!(
                "`{name}` is not registered: add it to `functions()` of its module, and call it as the named function"
            );
            Error::new(Code::FunctionNotFound, message)
        })
    }
}
