use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lentil_call::{Random, Seeds};
use lentil_database::{CreationTimes, DatabaseEnv, SkippedDocuments, Tables};
use lentil_schema::Document;
use lentil_store::{
    Clock, Commit, CommitObserver, FileStore, MemoryFiles, Store, SystemClock, Timestamp,
};
use lentil_values::{Object, TableNumber, Value};
use tokio::time::Instant;
use tracing::Instrument;

use crate::cache::{CacheStats, QueryCache};
use crate::call::Call;
use crate::executions::{Ended, Execution, ExecutionId, Executions};
use crate::functions::Registry;
use crate::http::{HttpRouter, Secret};
use crate::live::LiveQueries;
use crate::memory::{Charge, Memory, MemoryLimits};
use crate::open::{self, OpenError, OpenProgress};
use crate::run::{Once, ToItsEnd, TurnHolder, into_value};
use crate::schedule::OpenCron;
use crate::storage::{BlobLocks, FileParts, UploadKey};
use crate::system::{EnvironmentVariable, StoredEnvironment};
use crate::{
    ActionCtx, Application, CallSource, Caller, Code, Error, Function, FunctionKind, FunctionPath,
    Identity, Limits, MutationCtx, QueryCtx, RequestId, Result, SessionRequest,
};

/// A running application on a store: what the server, the tests and the tools call.
///
/// It is shared: a clone is another handle to the same.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    database: Arc<DatabaseEnv>,
    dev: bool,
    registry: Registry,
    router: HttpRouter,
    secrets: BTreeMap<String, DeclaredSecret>,
    environment: Environment,
    stored_environment: Arc<StoredEnvironment>,
    cache: Arc<QueryCache>,
    live: Arc<LiveQueries>,
    executions: Executions,
    crons: Vec<OpenCron>,
    turn_holder: TurnHolder,
    files: FileParts,
    origin: String,
    server_paths: ServerPaths,
    memory: Memory,
}

/// All that is kept only until a commit changes it.
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
        self.stored_environment.forget();
        self.live.everything_changed(timestamp);
    }
}

/// A secret that the application has declared.
pub(crate) struct DeclaredSecret {
    pub(crate) secret: Secret,
    /// Whether the process's environment has a variable of its name, so that no stored one counts.
    pub(crate) is_of_process: bool,
}

/// Looks up a variable of the process's environment.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

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
    /// Bytes of answers that the query cache keeps, at most a quarter of the memory limit.
    pub cache_bytes: usize,
    /// The values of the secrets that the application declares.
    pub secrets: HashMap<String, Secret>,
    /// The environment of the process.
    pub environment: Environment,
    /// Where the contents of files are kept; in memory, unless told otherwise.
    pub files: Arc<dyn FileStore>,
    /// What the URLs of files begin with: the scheme, host and port at which clients reach the server.
    pub origin: String,
    /// The paths of the server around the runtime.
    pub server_paths: ServerPaths,
    /// What upload URLs are signed with; `None` takes a random key, which a restart forgets.
    pub upload_secret: Option<Secret>,
    /// The limits of the memory that the server holds for clients.
    pub memory: MemoryLimits,
    /// Told how the check of documents and the building of indexes goes, at opening.
    pub progress: Box<dyn Fn(OpenProgress<'_>) + Send + Sync>,
}

/// The paths that the server around a runtime responds to itself.
#[derive(Clone, Copy, Debug)]
pub struct ServerPaths {
    /// Returns whether a path belongs to the server, so that no route of the application may have it.
    pub is_reserved: fn(&str) -> bool,
    /// The folder of the URLs that upload and download files, such as `/api/storage`.
    pub files: &'static str,
}

/// A runtime without a server: no path is reserved, and no URL of a file leads anywhere.
impl Default for ServerPaths {
    fn default() -> ServerPaths {
        ServerPaths {
            is_reserved: |_| false,
            files: "",
        }
    }
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
            environment: Box::new(|name| std::env::var(name).ok()),
            files: Arc::new(MemoryFiles::new()),
            origin: "http://127.0.0.1:3210".to_owned(),
            server_paths: ServerPaths::default(),
            upload_secret: None,
            memory: MemoryLimits::default(),
            progress: Box::new(|_| ()),
        }
    }
}

/// A call of a function by its name, as clients make it.
#[derive(Debug)]
pub struct FunctionCall {
    /// The function.
    pub path: FunctionPath,
    /// Its arguments.
    pub args: Object,
    /// On whose behalf: only the administrator finds internal functions.
    pub identity: Identity,
    /// Of a mutation that must not run twice: its place in its client's session.
    pub request: Option<SessionRequest>,
    /// The charge for the arguments, until the call has ended.
    pub charge: Charge,
    /// The call's source; `None` when the program itself calls.
    pub source: Option<CallSource>,
}

impl FunctionCall {
    /// A call on behalf of `identity`.
    pub fn new(path: FunctionPath, args: Object, identity: Identity) -> FunctionCall {
        FunctionCall {
            path,
            args,
            identity,
            request: None,
            charge: Charge::default(),
            source: None,
        }
    }

    /// The same call, from this source.
    #[must_use]
    pub fn with_source(mut self, source: CallSource) -> FunctionCall {
        self.source = Some(source);
        self
    }
}

/// What a function call came to.
#[derive(Debug)]
pub struct FunctionOutcome {
    /// Its result.
    pub result: Result<Value>,
    /// Its log lines, those of nested calls among them.
    pub log_lines: Vec<String>,
    /// A timestamp that has all that the call wrote and read.
    pub timestamp: Timestamp,
    /// Returns the call's id in the log.
    pub request_id: RequestId,
    /// The charge for the result and the text that is made of it.
    pub charge: Charge,
}

/// A copy of a result and its text take about so much of what the result itself takes.
const COPIES_OF_RESULT: usize = 3;

/// The result of a call, a timestamp that has all that it wrote and read, and the charge for the result.
type Done = (Value, Timestamp, Charge);

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
        let cache_bytes = options.cache_bytes.min(options.memory.process / 4);
        let cache = Arc::new(QueryCache::new(cache_bytes));
        let live = LiveQueries::new(Arc::clone(&cache));
        let stored_environment = Arc::<StoredEnvironment>::default();
        store.observe(Arc::new(Observers {
            live: Arc::clone(&live),
            stored_environment: Arc::clone(&stored_environment),
            environment_table: opened.tables.system(EnvironmentVariable::TABLE).number(),
        }));
        let declared = |(name, generated): (String, Secret)| {
            let of_process = (options.environment)(&name);
            let is_of_process = of_process.is_some();
            let secret = of_process
                .filter(|value| !value.is_empty())
                .map_or(generated, Secret::new);
            (
                name,
                DeclaredSecret {
                    secret,
                    is_of_process,
                },
            )
        };
        let secrets = options.secrets.into_iter().map(declared).collect();
        let seeds = Seeds::new(options.seed);
        let upload_key = match &options.upload_secret {
            Some(secret) => UploadKey::new(secret.reveal().as_bytes()),
            None => UploadKey::new(&Random::default().bytes(32, &seeds)),
        };
        let process = seeds.next_u64();
        Ok(Runtime(Arc::new(Inner {
            memory: Memory::new(options.memory),
            files: FileParts {
                blobs: options.files,
                locks: BlobLocks::default(),
                upload_key,
            },
            cache,
            live,
            executions: Executions::new(process),
            crons: opened.crons,
            environment: options.environment,
            stored_environment,
            origin: options.origin.trim_end_matches('/').to_owned(),
            server_paths: options.server_paths,
            registry: opened.registry,
            router: application.http,
            database: Arc::new(DatabaseEnv {
                limits: options.limits,
                tables: opened.tables,
                clock: options.clock,
                seeds,
                creation_times: CreationTimes::after(opened.last_creation_time),
                skipped_documents: SkippedDocuments::default(),
            }),
            dev: options.dev,
            secrets,
            turn_holder: TurnHolder::default(),
            store,
        })))
    }

    /// Runs a function by its name, of the given kind or of whichever kind it is, to its end: a caller that goes
    /// away loses the answer, not the work.
    pub async fn call(
        &self,
        mut call: FunctionCall,
        kind: Option<FunctionKind>,
    ) -> FunctionOutcome {
        let source = call.source.take();
        let source = source.unwrap_or_else(|| self.new_source(Caller::Tester));
        let (source, name) = (Arc::new(source), call.path.shared());
        let request_id = source.request_id.clone();
        let context = Call::outermost(
            self.clone(),
            call.identity.clone(),
            Arc::clone(&source),
            &name,
        );
        let (log, runtime) = (context.log.clone(), self.clone());
        let span = context.span();
        let running = async move {
            let done = runtime.dispatch_once(call, kind, context).await;
            if let Err(error) = &done {
                source.log_failure(&name, error);
            }
            done
        };
        let done = ToItsEnd::new(running.instrument(span)).await;
        let (result, timestamp, charge) = match done {
            Ok((value, timestamp, charge)) => (Ok(value), timestamp, charge),
            Err(error) => (Err(error), self.store().published(), Charge::default()),
        };
        FunctionOutcome {
            result,
            log_lines: log.lines(),
            timestamp,
            request_id,
            charge,
        }
    }

    /// Runs a function, or returns the recorded answer if the call is a repetition.
    async fn dispatch_once(
        &self,
        call: FunctionCall,
        kind: Option<FunctionKind>,
        context: Call,
    ) -> Result<Done> {
        let request = call.request.clone();
        let done = self.dispatch(call, kind, context).await;
        match (&done, request) {
            // The recorded answer stands, also when the function has changed its name or arguments since.
            (Err(error), Some(request)) if error.is_rejected_call() => {
                match self.recorded_result(&request).await? {
                    Some(value) => Ok((value, self.published(), Charge::default())),
                    None => done,
                }
            }
            _ => done,
        }
    }

    async fn dispatch(
        &self,
        call: FunctionCall,
        kind: Option<FunctionKind>,
        context: Call,
    ) -> Result<Done> {
        let (charge, began) = (call.charge, Instant::now());
        let function = match self
            .registry()
            .named(&call.path, call.identity.visibility())
        {
            Ok(function) => function,
            Err(error) => {
                let refused = Err(error);
                let name = call.path.shared();
                self.record(&context, Ended::of(&context, name, kind, began, &refused));
                return refused;
            }
        };
        match kind.unwrap_or(function.kind()) {
            FunctionKind::Query => {
                let run = self.run_query(&function, call.args, None, &context).await?;
                // Many callers of one result wait for room here, before each has a copy of it.
                let size = run.result.as_ref().map_or(0, |value| value.heap_size());
                let copies = charge.reserve(COPIES_OF_RESULT * size).await;
                let copies =
                    copies.map_err(|over| Error::new(Code::Overloaded, over.to_string()))?;
                Ok((into_value(&run)?, run.timestamp, copies))
            }
            FunctionKind::Mutation => {
                let once = call.request.as_ref().map_or(Once::No, Once::Session);
                let done = self.run_mutation(&function, call.args, &context, once);
                let (value, timestamp) = done.await?;
                Ok((value, timestamp, Charge::default()))
            }
            FunctionKind::Action => {
                let value = self.run_action(&function, call.args, context).await?;
                Ok((value, self.store().published(), Charge::default()))
            }
        }
    }

    /// Runs `body` with a query's context: what `TestBackend::query` does.
    ///
    /// # Errors
    /// The body's.
    pub async fn with_query<R>(
        &self,
        identity: Identity,
        body: impl AsyncFnOnce(&mut QueryCtx) -> Result<R>,
    ) -> Result<R> {
        self.read(identity, body).await
    }

    /// Runs `body` as a mutation: its writes are durable when this returns, or undone when it fails. Without a
    /// source the program itself calls.
    ///
    /// # Errors
    /// The body's, or that the commit failed.
    pub async fn with_mutation<R>(
        &self,
        identity: Identity,
        source: Option<CallSource>,
        body: impl AsyncFn(&mut MutationCtx) -> Result<R>,
    ) -> Result<R> {
        self.transact(identity, source, body).await
    }

    /// Runs `body` with an action's context. Without a source the program itself calls.
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
        let source = source.unwrap_or_else(|| self.new_source(Caller::Tester));
        body(&ActionCtx::new(Call::outermost(
            self.clone(),
            identity,
            source,
            &name,
        )))
        .await
    }

    /// Every registered function, in no particular order.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.registry().all().map(|function| &**function)
    }

    /// The latest executions of functions and HTTP actions, a thousand at most, the oldest first.
    pub fn executions(&self) -> Vec<Execution> {
        self.0.executions.all()
    }

    /// The latest executions after [`Execution::cursor_ms`], the oldest first; waits for the next if there are none.
    pub async fn executions_after(&self, cursor_ms: f64) -> Vec<Execution> {
        self.0.executions.after(cursor_ms).await
    }

    /// The store underneath.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The timestamp up to which commits are durable and shown.
    pub fn published(&self) -> Timestamp {
        self.store().published()
    }

    /// What the query cache has done so far, and what it holds.
    pub fn cache_stats(&self) -> CacheStats {
        self.cache().stats()
    }

    /// The application's HTTP routes.
    pub fn router(&self) -> &HttpRouter {
        &self.0.router
    }

    /// Returns whether errors may show internals.
    pub fn is_dev(&self) -> bool {
        self.0.dev
    }

    /// What one call may use.
    pub fn limits(&self) -> &Limits {
        &self.0.database.limits
    }

    /// A request id that no other request has.
    pub fn new_request_id(&self) -> RequestId {
        RequestId::made(self.seeds().next_u64())
    }

    /// Returns the source of a call that no request has caused.
    pub(crate) fn new_source(&self, caller: Caller) -> CallSource {
        CallSource::new(caller, self.new_request_id())
    }

    /// Returns the current time, in milliseconds since the Unix epoch, with a fraction.
    pub fn now_ms(&self) -> f64 {
        self.0.database.now_ms()
    }

    /// Returns the ledger of the memory held for clients.
    pub fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// Keeps memory within the limits for as long as it is polled; see [`Memory::relieve`].
    pub async fn relieve_memory(&self) {
        self.memory()
            .relieve(|excess| self.cache().shed(excess))
            .await;
    }

    /// Finishes what runs and closes the store.
    ///
    /// # Errors
    /// When the store fails at it.
    pub async fn close(&self) -> Result<(), lentil_store::StoreError> {
        self.0.store.close().await
    }

    pub(crate) fn environment_state(&self) -> &StoredEnvironment {
        &self.0.stored_environment
    }

    pub(crate) fn process_environment(&self, name: &str) -> Option<String> {
        (self.0.environment)(name)
    }

    pub(crate) fn declared_secret(&self, name: &str) -> Option<&DeclaredSecret> {
        self.0.secrets.get(name)
    }

    pub(crate) fn secret_value(&self, name: &str) -> Option<String> {
        self.declared_secret(name)
            .map(|declared| declared.secret.reveal().to_owned())
    }

    /// Records an execution, for `npx convex logs`. The system's own functions are recorded only when they fail.
    pub(crate) fn record<T>(&self, call: &Call, ended: Ended<'_, T>) {
        if ended.result.is_err() || !ended.identifier.starts_with("_system/") {
            self.0.executions.record(self.now_ms(), call, ended);
        }
    }

    pub(crate) fn next_execution_id(&self) -> ExecutionId {
        self.0.executions.next_id()
    }

    pub(crate) fn crons(&self) -> &[OpenCron] {
        &self.0.crons
    }

    pub(crate) fn file_parts(&self) -> &FileParts {
        &self.0.files
    }

    /// The URL under which clients reach the server, without a `/` at its end.
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    pub(crate) fn server_paths(&self) -> ServerPaths {
        self.0.server_paths
    }

    pub(crate) fn live(&self) -> &Arc<LiveQueries> {
        &self.0.live
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.0.database.tables
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(crate) fn cache(&self) -> &QueryCache {
        &self.0.cache
    }

    pub(crate) fn seeds(&self) -> &Seeds {
        &self.0.database.seeds
    }

    pub(crate) fn turn_holder(&self) -> &TurnHolder {
        &self.0.turn_holder
    }

    /// The greatest creation time given out so far.
    pub(crate) fn last_creation_time(&self) -> f64 {
        self.0.database.creation_times.last()
    }

    pub(crate) fn database(&self) -> &Arc<DatabaseEnv> {
        &self.0.database
    }
}
