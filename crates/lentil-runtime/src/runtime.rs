use std::sync::Arc;

use async_trait::async_trait;
use lentil_call::{
    CallSource, Caller, FunctionKind, Identity, Limits, Random, RequestId, Result, Seeds,
};
use lentil_database::{CreationTimes, DatabaseEnv, LargeReads, SkippedDocuments};
use lentil_schema::{Args, Document, Id, IntoArgs, Table};
use lentil_store::{Commit, CommitObserver, Store, StoreError, Timestamp};
use lentil_values::{ReturnType, TableNumber};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::application::Application;
use crate::application_info::ApplicationInfo;
use crate::cache::{CacheStats, QueryCache};
use crate::context::{ActionCtx, MutationCtx, QueryCtx};
use crate::engine::{Call, Engine, Parts};
use crate::executions::ExecutionLog;
use crate::files::{BlobLocks, FileParts, UploadKey};
use crate::function_call::{FunctionCall, FunctionOutcome};
use crate::functions::Functions;
use crate::handler::Handler;
use crate::http::Body;
use crate::live::LiveQueries;
use crate::memory::Memory;
use crate::open::{self, OpenError};
use crate::options::RuntimeOptions;
use crate::query_snapshot::{self, QuerySnapshot};
use crate::router::HttpRouter;
use crate::run::Idempotency;
use crate::schedule::ScheduledExecution;
use crate::scheduled_calls::ScheduledFunction;
use crate::storage::Files;
use crate::subscriber::Subscriber;
use crate::typed::{arguments, typed};
use crate::variables::{EnvironmentParts, EnvironmentVariable, StoredEnvironment};
use crate::write_lock::WriteLockHolder;
use crate::{dispatch, fetch, run};

/// A running application on a store: the entry point of the server, the tests and the tools.
///
/// A clone is another handle to the same application.
#[derive(Clone)]
pub struct Runtime {
    engine: Engine,
    router: Arc<HttpRouter>,
    modules: Arc<[Arc<dyn SystemModule>]>,
}

/// A part of the system that runs beside the application's functions.
///
/// The runtime opens the modules with the application. Nothing in it depends on one of them.
#[async_trait]
pub trait SystemModule: Send + Sync + 'static {
    /// Returns the tables that belong to the module. Their names begin with `_`.
    fn tables(&self) -> Vec<Table> {
        Vec::new()
    }

    /// Returns the module's functions, which are internal. Their paths begin with `_system/`.
    fn functions(&self) -> Functions {
        Functions::new()
    }

    /// Does the module's background work until `stop` is cancelled, and finishes what it has begun
    /// by then.
    async fn run(&self, _runtime: &Runtime, _stop: &CancellationToken) {}
}

/// The parts that commits invalidate.
struct Observers {
    live: Arc<LiveQueries>,
    stored_environment: Arc<StoredEnvironment>,
    environment_table: TableNumber,
}

impl CommitObserver for Observers {
    fn committed(&self, commit: &Arc<Commit>) {
        self.stored_environment
            .committed(commit, self.environment_table);
        self.live.committed(commit);
    }

    fn everything_changed(&self, timestamp: Timestamp) {
        self.stored_environment.invalidate();
        self.live.everything_changed(timestamp);
    }
}

impl Runtime {
    /// Opens an application on a store. Checks the stored documents against the schema, declares
    /// tables and indexes, and builds new indexes.
    ///
    /// # Errors
    /// See [`OpenError`]. The database is then unchanged.
    pub async fn open(
        application: Application,
        modules: Vec<Arc<dyn SystemModule>>,
        store: Arc<dyn Store>,
        options: RuntimeOptions,
    ) -> Result<Runtime, OpenError> {
        let system = open::System {
            tables: modules.iter().flat_map(|module| module.tables()).collect(),
            functions: modules.iter().fold(Functions::new(), |functions, module| {
                functions.with(module.functions())
            }),
        };
        let opened = open::open(&application, &*store, system, &options).await?;
        let cache_bytes = options.cache_bytes.min(options.memory.process / 4);
        let cache = Arc::new(QueryCache::new(cache_bytes));
        let live = LiveQueries::new(Arc::clone(&cache));
        let environment = EnvironmentParts::new(options.environment, options.secrets);
        // Registered before the first call, so that the cache misses no commit.
        store.observe(Arc::new(Observers {
            live: Arc::clone(&live),
            stored_environment: Arc::clone(&environment.stored),
            environment_table: opened.tables.system(EnvironmentVariable::TABLE).number(),
        }));

        let seeds = Seeds::new(options.seed);
        let upload_key = match &options.upload_secret {
            Some(secret) => UploadKey::new(secret.reveal().as_bytes()),
            None => UploadKey::new(&Random::default().bytes(32, &seeds)),
        };
        let executions = ExecutionLog::new(seeds.next_u64());
        let router = Arc::new(application.http);
        let engine = Engine::new(Parts {
            store,
            database: Arc::new(DatabaseEnv {
                limits: options.limits,
                tables: opened.tables,
                large_reads: LargeReads::within(options.memory.process),
                clock: options.clock,
                seeds,
                creation_times: CreationTimes::after(opened.last_creation_time),
                skipped_documents: SkippedDocuments::default(),
            }),
            registry: opened.registry,
            routes: router.listed().collect(),
            environment,
            cache,
            live,
            executions,
            write_lock_holder: WriteLockHolder::default(),
            files: FileParts {
                blobs: options.files,
                locks: BlobLocks::default(),
                upload_key,
            },
            release_blobs: Files::release,
            origin: options.origin.trim_end_matches('/').to_owned(),
            server_paths: options.server_paths,
            memory: Memory::new(options.memory),
            dev: options.dev,
        });
        Ok(Runtime {
            engine,
            router,
            modules: modules.into(),
        })
    }

    /// Runs a function by its path to completion: a caller that goes away loses the result, not the
    /// work.
    ///
    /// `kind` is the kind that the caller expects, if it expects one.
    pub async fn call(&self, call: FunctionCall, kind: Option<FunctionKind>) -> FunctionOutcome {
        dispatch::call(&self.engine, call, kind).await
    }

    /// Runs the action that a request is routed to, to completion, and returns its response or one
    /// for its error.
    ///
    /// The request's head is boxed, because it is moved from future to future.
    pub async fn fetch(
        &self,
        parts: Box<::http::request::Parts>,
        body: Body,
        identity: Identity,
        source: CallSource,
    ) -> ::http::Response<Body> {
        fetch::fetch(&self.engine, &self.router, parts, body, identity, source).await
    }

    /// Runs `body` as a query on what is committed now, for tests.
    ///
    /// # Errors
    /// The body's.
    pub async fn with_query<R>(
        &self,
        identity: Identity,
        body: impl AsyncFnOnce(&mut QueryCtx) -> Result<R>,
    ) -> Result<R> {
        let name = "a query without a name".into();
        let call = self.unnamed_call(&name, identity, None);
        run::read(&name, call, async |cell, call| {
            body(&mut QueryCtx::new(cell, call)).await
        })
        .await
    }

    /// Runs `body` as a mutation. Its writes are durable when this returns, or rolled back when it
    /// fails.
    ///
    /// # Errors
    /// The body's, or that the commit failed.
    pub async fn with_mutation<R>(
        &self,
        identity: Identity,
        source: Option<CallSource>,
        body: impl AsyncFn(&mut MutationCtx) -> Result<R>,
    ) -> Result<R> {
        let name = "a mutation without a name".into();
        let call = self.unnamed_call(&name, identity, source);
        let committed = run::transact(&name, &call, async |cell, call| {
            body(&mut MutationCtx::new(cell, call)).await
        });
        committed.await.result.map(|(value, _)| value)
    }

    /// Runs `body` with an action's context.
    ///
    /// # Errors
    /// The body's.
    pub async fn with_action<R>(
        &self,
        identity: Identity,
        source: Option<CallSource>,
        body: impl AsyncFnOnce(&ActionCtx) -> Result<R>,
    ) -> Result<R> {
        let name = "an action without a name".into();
        let call = self.unnamed_call(&name, identity, source);
        body(&ActionCtx::new(Arc::new(call))).await
    }

    /// Returns a call without a function. Without a source, the program itself calls.
    fn unnamed_call(
        &self,
        name: &Arc<str>,
        identity: Identity,
        source: Option<CallSource>,
    ) -> Call {
        let source = source.unwrap_or_else(|| self.new_source(Caller::Tester));
        Call::outermost(self.engine.clone(), identity, source, name)
    }

    /// Returns a client without live queries.
    pub fn subscriber(&self, identity: Identity) -> Subscriber {
        Subscriber::new(self.engine.clone(), identity)
    }

    /// Takes a snapshot of the current state, for queries that follow at once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn query_snapshot(&self) -> Result<QuerySnapshot> {
        // Before the snapshot: queries that hold their snapshot while they wait for a permit could
        // take every connection, and the holders of permits wait for one.
        let permit = self.engine.database().large_reads.acquire().await;
        QuerySnapshot::take(&self.engine, self.store().snapshot(), Some(permit)).await
    }

    /// Takes a snapshot of the current state that is held for later queries. The store may end it
    /// early.
    ///
    /// # Errors
    /// When the store fails, or too many are held.
    pub async fn held_query_snapshot(&self) -> Result<QuerySnapshot> {
        QuerySnapshot::take(&self.engine, self.store().held_snapshot(), None).await
    }

    /// Runs a query as of a timestamp that was published since the runtime opened; `None` when the
    /// result is no longer known.
    ///
    /// Usually nothing that the query reads has changed since then. Then its current result, which
    /// may be cached, is returned. Otherwise the query reads `held`, the snapshot of the timestamp,
    /// if it still exists.
    pub async fn query_at(
        &self,
        timestamp: Timestamp,
        held: Option<&QuerySnapshot>,
        call: FunctionCall,
    ) -> Option<FunctionOutcome> {
        query_snapshot::query_at(&self.engine, timestamp, held, call).await
    }

    /// Returns the log of the latest executions of functions and HTTP actions.
    pub fn execution_log(&self) -> &ExecutionLog {
        &self.engine.parts().executions
    }

    /// Returns the store.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.engine.store()
    }

    /// Returns the counts of the query cache.
    pub fn cache_stats(&self) -> CacheStats {
        self.engine.cache().stats()
    }

    /// Returns the number of distinct queries that are watched.
    pub fn live_queries(&self) -> usize {
        self.engine.live().len()
    }

    /// Returns the application's HTTP routes.
    pub fn router(&self) -> &HttpRouter {
        &self.router
    }

    /// Returns whether errors may show internals.
    pub fn is_dev(&self) -> bool {
        self.engine.parts().dev
    }

    /// Returns the limits of one call.
    pub fn limits(&self) -> &Limits {
        self.engine.limits()
    }

    /// Returns a request id that no other request has.
    pub fn new_request_id(&self) -> RequestId {
        self.engine.new_request_id()
    }

    pub(crate) fn new_source(&self, caller: Caller) -> CallSource {
        self.engine.new_source(caller)
    }

    /// Returns the current time, in milliseconds since the Unix epoch, with a fraction.
    pub fn now_ms(&self) -> f64 {
        self.engine.now_ms()
    }

    /// Returns the URL under which clients reach the server, without a `/` at its end.
    pub fn origin(&self) -> &str {
        self.engine.origin()
    }

    /// Returns the account of the memory held for clients.
    pub fn memory(&self) -> &Memory {
        self.engine.memory()
    }

    /// Keeps memory within the limits while it is polled; see [`Memory::relieve`].
    pub async fn relieve_memory(&self) {
        self.memory()
            .relieve(|excess| self.engine.cache().evict(excess))
            .await;
    }

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
        let function = self.engine.registry().handled_by::<F>()?;
        let call = self.unnamed_call(&function.path.shared(), Identity::Anonymous, None);
        let run = run::run_query(&function, arguments(args)?, None, &call);
        typed(run::into_value(&*run.await?))
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
        let function = self.engine.registry().handled_by::<F>()?;
        let call = self.unnamed_call(&function.path.shared(), Identity::Anonymous, None);
        let run = run::run_mutation(&function, arguments(args)?, &call, Idempotency::None);
        typed(run.await.map(|(value, _)| value))
    }

    /// Returns the execution of the scheduled call with this document, of the function of this
    /// name.
    pub fn scheduled_execution(&self, id: Id<ScheduledFunction>, name: &str) -> ScheduledExecution {
        ScheduledExecution::new(&self.engine, id, name)
    }

    /// Runs the background work of the system's modules until `stop` is cancelled, and returns when
    /// all of it has ended.
    pub async fn run_modules(&self, stop: CancellationToken) {
        let mut running = JoinSet::new();
        for module in &*self.modules {
            let (runtime, module, stop) = (self.clone(), Arc::clone(module), stop.clone());
            running.spawn(async move { module.run(&runtime, &stop).await });
        }
        // A module that panicked ends alone; the others continue.
        while running.join_next().await.is_some() {}
    }

    /// Returns the stored files.
    pub fn files(&self) -> Files {
        Files::of(&self.engine)
    }

    /// Describes the application.
    pub fn application(&self) -> ApplicationInfo {
        ApplicationInfo(self.engine.clone())
    }

    /// Returns the greatest `_creationTime` so far.
    pub fn last_creation_time(&self) -> f64 {
        self.engine.database().creation_times.last()
    }

    /// Waits for running transactions and closes the store.
    ///
    /// # Errors
    /// When the store fails to close.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.store().close().await
    }
}
