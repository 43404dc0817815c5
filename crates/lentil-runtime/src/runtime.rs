use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use lentil_store::{Clock, Store, SystemClock};
use lentil_values::{Object, Value};

use crate::cache::{CacheStats, QueryCache};
use crate::call::Call;
use crate::creation::CreationTimes;
use crate::functions::Registry;
use crate::http::{HttpRouter, Secret};
use crate::open::{self, OpenError, OpenProgress};
use crate::random::Seeds;
use crate::run::{TurnHolder, guard};
use crate::tables::Tables;
use crate::{
    ActionCtx, Application, Code, Error, Function, FunctionKind, FunctionPath, Limits, MutationCtx, QueryCtx, Result,
    Visibility,
};

/// A running application on a store: what the server, the tests and the tools call.
///
/// It is shared: a clone is another handle to the same.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    dev: bool,
    tables: Tables,
    registry: Registry,
    router: HttpRouter,
    secrets: HashMap<String, Secret>,
    cache: Arc<QueryCache>,
    seeds: Seeds,
    creation_times: CreationTimes,
    turn_holder: TurnHolder,
}

/// How a runtime is set up; the defaults are for production.
pub struct RuntimeOptions {
    /// Where functions take the time from.
    pub clock: Arc<dyn Clock>,
    /// Makes ids and randomness repeatable; `None` takes them from the operating system.
    pub seed: Option<u64>,
    /// What one call may use.
    pub limits: Limits,
    /// Shows internals in errors, for development.
    pub dev: bool,
    /// How many bytes of answers the query cache keeps.
    pub cache_bytes: usize,
    /// The values of the secrets that the application declares.
    pub secrets: HashMap<String, Secret>,
    /// Told how the check of documents and the building of indexes goes, at opening.
    pub progress: Box<dyn Fn(OpenProgress<'_>) + Send + Sync>,
}

impl Default for RuntimeOptions {
    fn default() -> RuntimeOptions {
        RuntimeOptions {
            clock: Arc::new(SystemClock),
            seed: None,
            limits: Limits::default(),
            dev: false,
            cache_bytes: 64 << 20,
            secrets: HashMap::new(),
            progress: Box::new(|_| ()),
        }
    }
}

/// A call of a function by its name, as clients make it.
#[derive(Clone, Debug)]
pub struct FunctionCall {
    /// The function.
    pub path: FunctionPath,
    /// Its arguments.
    pub args: Object,
    /// On whose behalf: the public finds public functions alone.
    pub caller: Visibility,
    /// Of a query that has run before and paginated: [`FunctionOutcome::journal`], so that it reads the same page.
    pub journal: Option<String>,
}

/// What a function call came to.
#[derive(Debug)]
pub struct FunctionOutcome {
    /// Its result.
    pub result: Result<Value>,
    /// Its log lines, those of nested calls among them.
    pub log_lines: Vec<String>,
    /// Of a query that paginated: where its page ends.
    pub journal: Option<String>,
}

impl Runtime {
    /// Opens an application on a store: checks the schema against the documents there, declares tables and indexes,
    /// builds what is new.
    ///
    /// # Errors
    /// As [`OpenError`] says; the database is then as it was.
    pub async fn open(
        mut application: Application,
        store: Arc<dyn Store>,
        options: RuntimeOptions,
    ) -> Result<Runtime, OpenError> {
        let opened = open::open(&mut application, &*store, &options).await?;
        let cache = Arc::new(QueryCache::new(options.cache_bytes));
        store.observe(Arc::clone(&cache) as Arc<dyn lentil_store::CommitObserver>);
        Ok(Runtime(Arc::new(Inner {
            cache,
            tables: opened.tables,
            registry: opened.registry,
            creation_times: CreationTimes::after(opened.last_creation_time),
            router: application.http,
            clock: options.clock,
            limits: options.limits,
            dev: options.dev,
            secrets: options.secrets,
            seeds: Seeds::new(options.seed),
            turn_holder: TurnHolder::default(),
            store,
        })))
    }

    /// Runs a function by its name, of the given kind or of whichever kind it is, in a task of its own: a caller that goes away loses the answer, not
    /// the work.
    pub async fn call(&self, call: FunctionCall, kind: Option<FunctionKind>) -> FunctionOutcome {
        let context = Call::outermost(self.clone());
        let log = context.log.clone();
        let runtime = self.clone();
        let done = self.detached(async move { runtime.dispatch(call, kind, context).await }).await;
        let (result, journal) = match done {
            Ok((value, journal)) => (Ok(value), journal),
            Err(error) => (Err(error), None),
        };
        FunctionOutcome { result, log_lines: log.lines(), journal }
    }

    async fn dispatch(
        &self,
        call: FunctionCall,
        kind: Option<FunctionKind>,
        context: Call,
    ) -> Result<(Value, Option<String>)> {
        let function = self.registry().named(&call.path, call.caller)?;
        match kind.unwrap_or(function.kind()) {
            FunctionKind::Query => {
                let run = self.run_query(&function, call.args, call.journal, &context).await?;
                Ok((Value::clone(&run.value), run.journal.clone()))
            }
            FunctionKind::Mutation => Ok((self.run_mutation(&function, call.args, context.log).await?, None)),
            FunctionKind::Action => Ok((self.run_action(&function, call.args, context).await?, None)),
        }
    }

    /// Runs `body` with a query's context: what `TestBackend::query` does.
    ///
    /// # Errors
    /// The body's.
    pub async fn with_query<R>(&self, body: impl AsyncFnOnce(&mut QueryCtx) -> Result<R>) -> Result<R> {
        let name = "a query without a name";
        let mut ctx = self.query_ctx(Call::outermost(self.clone()), None).await?;
        let result = guard(name, self.limits().query_time, body(&mut ctx)).await;
        let (value, transaction) = self.end_query(name, ctx, result).await?;
        let shown = self.store().wait_published(transaction.timestamp()).await;
        shown.map_err(crate::error::store_error)?;
        Ok(value)
    }

    /// Runs `body` as a mutation: what it writes is durable when this returns, or undone when it fails.
    ///
    /// # Errors
    /// The body's, or that the commit failed.
    pub async fn with_mutation<R>(&self, body: impl AsyncFn(&mut MutationCtx) -> Result<R>) -> Result<R> {
        self.transact(body).await
    }

    /// Runs `body` with an action's context.
    ///
    /// # Errors
    /// The body's.
    pub async fn with_action<R>(&self, body: impl AsyncFnOnce(&ActionCtx) -> Result<R>) -> Result<R> {
        body(&ActionCtx::new(Call::outermost(self.clone()))).await
    }

    /// Every registered function, in no particular order.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.registry().all().map(|function| &**function)
    }

    /// The store underneath.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// What the query cache has done so far, and what it holds.
    pub fn cache_stats(&self) -> CacheStats {
        self.cache().stats()
    }

    /// The application's HTTP routes.
    pub fn router(&self) -> &HttpRouter {
        &self.0.router
    }

    /// Whether errors may show internals.
    pub fn is_dev(&self) -> bool {
        self.0.dev
    }

    /// What one call may use.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The time now, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> f64 {
        self.0.clock.now().as_millis()
    }

    /// The secret that the application declared under this name.
    ///
    /// # Errors
    /// When it declared none.
    pub fn secret(&self, name: &str) -> Result<&Secret> {
        self.0.secrets.get(name).ok_or_else(|| {
            let message = format!("no secret `{name}` is declared: add `.secret(\"{name}\")` to the application");
            Error::new(Code::Uncaught, message)
        })
    }

    /// Finishes what runs and closes the store.
    ///
    /// # Errors
    /// When the store fails at it.
    pub async fn close(&self) -> Result<(), lentil_store::StoreError> {
        self.0.store.close().await
    }

    /// Runs `work` to its end in a task of its own, whether or not anyone still waits for it.
    pub(crate) async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        tokio::spawn(work).await.unwrap_or_else(|error| Err(Error::internal(error)))
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.0.tables
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(crate) fn cache(&self) -> &QueryCache {
        &self.0.cache
    }

    pub(crate) fn seeds(&self) -> &Seeds {
        &self.0.seeds
    }

    pub(crate) fn turn_holder(&self) -> &TurnHolder {
        &self.0.turn_holder
    }

    pub(crate) fn next_creation_time(&self, now_ms: f64) -> f64 {
        self.0.creation_times.next(now_ms)
    }
}
