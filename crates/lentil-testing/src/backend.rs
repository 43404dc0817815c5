use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use lentil_files::LocalFiles;
use lentil_runtime::http::{Body, HttpRouter, Secret};
use lentil_runtime::{
    ActionCtx, Application, CallSource, Caller, Crons, FunctionCall, FunctionPath, Functions,
    Identity, Limits, MutationCtx, QueryCtx, RequestId, Result, Runtime, RuntimeOptions,
    UserIdentity,
};
use lentil_schema::{Doc, Document, RangeSpec, Schema};
use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_store::{FileStore, MemoryFiles, MemoryStore, Store};
use lentil_values::{Object, Value};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::{TestClock, TestResponse};

/// 2026-01-01T00:00:00Z, when every test begins.
const BEGIN_MS: f64 = 1_767_225_600_000.0;

/// A backend for tests: the application on a fresh store in memory, with a clock that stands still and ids and
/// randomness from a seed.
///
/// Functions run as in production: in transactions, with validation, limits, and the query cache. A failure to
/// open the application, such as a schema that makes no sense, panics at the first use.
pub struct TestBackend {
    setup: Mutex<Option<Setup>>,
    opened: OnceCell<Runtime>,
    clock: TestClock,
    user: Mutex<Option<Arc<UserIdentity>>>,
    source: Mutex<CallSource>,
    files: MemoryFiles,
    /// Holds the folder of a store on disk until the test is over.
    folder: Option<tempfile::TempDir>,
}

struct Setup {
    application: Application,
    seed: u64,
    limits: Limits,
    dev: bool,
    secrets: HashMap<String, Secret>,
    environment: HashMap<String, String>,
}

impl TestBackend {
    /// A backend with these tables.
    pub fn new(schema: Schema) -> TestBackend {
        let application = Application::new(schema);
        let (secrets, environment) = (HashMap::new(), HashMap::new());
        let setup = Setup {
            application,
            seed: 0,
            limits: Limits::default(),
            dev: true,
            secrets,
            environment,
        };
        let clock = TestClock::at_ms(BEGIN_MS);
        let request_id = RequestId::given("test").expect("it is a request id");
        TestBackend {
            setup: Mutex::new(Some(setup)),
            opened: OnceCell::new(),
            clock,
            user: Mutex::default(),
            source: Mutex::new(CallSource::new(Caller::Tester, request_id)),
            files: MemoryFiles::new(),
            folder: None,
        }
    }

    /// Registers functions, so that they can call each other, and be called by name.
    #[must_use]
    pub fn functions(self, functions: Functions) -> TestBackend {
        self.with(|setup| {
            setup.application = std::mem::take(&mut setup.application).functions(functions)
        })
    }

    /// Adds crons, from the start of the test on; [`TestBackend::run_due`] runs those that are due.
    #[must_use]
    pub fn crons(self, crons: Crons) -> TestBackend {
        self.with(|setup| setup.application = std::mem::take(&mut setup.application).crons(crons))
    }

    /// Sets the HTTP routes.
    #[must_use]
    pub fn http(self, router: HttpRouter) -> TestBackend {
        self.with(|setup| setup.application = std::mem::take(&mut setup.application).http(router))
    }

    /// Declares a secret and its value.
    #[must_use]
    pub fn secret(self, name: &str, value: &str) -> TestBackend {
        self.with(|setup| {
            setup.application = std::mem::take(&mut setup.application).secret(name);
            setup.secrets.insert(name.to_owned(), Secret::new(value));
        })
    }

    /// Sets the seed of ids and randomness; the default is 0.
    #[must_use]
    pub fn seed(self, seed: u64) -> TestBackend {
        self.with(|setup| setup.seed = seed)
    }

    /// Sets what one call may use.
    #[must_use]
    pub fn limits(self, limits: Limits) -> TestBackend {
        self.with(|setup| setup.limits = limits)
    }

    /// Sets whether errors show internals to HTTP clients, as they do unless told otherwise.
    #[must_use]
    pub fn dev(self, dev: bool) -> TestBackend {
        self.with(|setup| setup.dev = dev)
    }

    /// Sets an environment variable; the process's own are not seen by tests.
    #[must_use]
    pub fn env(self, name: &str, value: &str) -> TestBackend {
        self.with(|setup| drop(setup.environment.insert(name.to_owned(), value.to_owned())))
    }

    /// Signs a user in, for the calls that follow.
    pub fn sign_in(&self, user: UserIdentity) {
        *self.user.lock() = Some(Arc::new(user));
    }

    /// Signs the user out.
    pub fn sign_out(&self) {
        *self.user.lock() = None;
    }

    /// Sets the request behind the calls that follow, as `ctx.meta.request()` returns it.
    pub fn request_from(&self, ip: IpAddr, user_agent: &'static str) {
        let user_agent = HeaderValue::from_static(user_agent);
        let mut source = self.source.lock();
        *source = source.clone().with_peer(Some(ip), Some(user_agent));
    }

    fn source(&self) -> CallSource {
        self.source.lock().clone()
    }

    fn user(&self) -> Option<Arc<UserIdentity>> {
        self.user.lock().clone()
    }

    fn identity(&self) -> Identity {
        self.user().map_or(Identity::Anonymous, Identity::User)
    }

    /// Puts the data into SQLite, in a temporary folder, instead of in memory.
    ///
    /// # Panics
    /// When there is no room for temporary files.
    #[must_use]
    pub fn on_sqlite(mut self) -> TestBackend {
        self.folder = Some(tempfile::tempdir().expect("a temporary folder can be made"));
        self
    }

    fn with(self, change: impl FnOnce(&mut Setup)) -> TestBackend {
        change(
            self.setup
                .lock()
                .as_mut()
                .expect("a backend is set up before it is used"),
        );
        self
    }

    /// The contents of stored files, where the data is in memory.
    pub fn files(&self) -> &MemoryFiles {
        &self.files
    }

    /// The clock, to be moved by hand.
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// Moves time on.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Runs `body` as a query.
    ///
    /// # Errors
    /// The body's.
    pub async fn query<R>(&self, body: impl AsyncFnOnce(&mut QueryCtx) -> Result<R>) -> Result<R> {
        self.runtime().await.with_query(self.identity(), body).await
    }

    /// Runs `body` as a mutation: a transaction, committed when it succeeds and undone when it fails.
    ///
    /// # Errors
    /// The body's.
    pub async fn mutation<R>(
        &self,
        body: impl AsyncFn(&mut MutationCtx) -> Result<R>,
    ) -> Result<R> {
        self.runtime()
            .await
            .with_mutation(self.identity(), Some(self.source()), body)
            .await
    }

    /// Runs `body` as an action.
    ///
    /// # Errors
    /// The body's.
    pub async fn action<R>(&self, body: impl AsyncFnOnce(&ActionCtx) -> Result<R>) -> Result<R> {
        self.runtime()
            .await
            .with_action(self.identity(), Some(self.source()), body)
            .await
    }

    /// Calls a registered function by its name, as other functions and the administrator can.
    ///
    /// # Errors
    /// The function's, or that there is none of this name.
    pub async fn call(&self, path: &str, args: impl Into<Object>) -> Result<Value> {
        self.call_as(
            Identity::Admin {
                acting_as: self.user(),
            },
            path,
            args.into(),
        )
        .await
    }

    /// Calls a registered function by its name, as any client can: internal ones do not exist.
    ///
    /// # Errors
    /// The function's, or that there is no public one of this name.
    pub async fn call_public(&self, path: &str, args: impl Into<Object>) -> Result<Value> {
        self.call_as(self.identity(), path, args.into()).await
    }

    async fn call_as(&self, identity: Identity, path: &str, args: Object) -> Result<Value> {
        let call = FunctionCall::new(FunctionPath::parse(path)?, args, identity)
            .with_source(self.source());
        self.runtime().await.call(call, None).await.result
    }

    /// Sends an HTTP request to the routes; there is no socket in between.
    ///
    /// # Panics
    /// When the response's body breaks off.
    pub async fn fetch<B: Into<Body>>(&self, request: http::Request<B>) -> TestResponse {
        let (parts, body) = request.into_parts();
        let runtime = self.runtime().await;
        let response = runtime
            .fetch(Box::new(parts), body.into(), self.identity(), self.source())
            .await;
        let (parts, body) = response.into_parts();
        let body = body.bytes().await.expect("the response's body comes whole");
        TestResponse {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Runs the scheduled functions and crons that are due by the clock, until nothing more is due; returns how many
    /// functions it were.
    ///
    /// # Errors
    /// When the store fails; a function that fails is recorded as failed.
    pub async fn run_due(&self) -> Result<usize> {
        self.runtime().await.run_due().await
    }

    /// Every document of a table, in the order of creation.
    ///
    /// # Errors
    /// When the schema does not declare the table.
    pub async fn documents<T: Document>(&self) -> Result<Vec<Doc<T>>> {
        self.query(async |ctx| ctx.db.query(T::all()).collect().await)
            .await
    }

    /// Every document of a table known by its name, in the order of creation, system fields included.
    ///
    /// # Errors
    /// When the schema does not declare the table.
    pub async fn table(&self, name: &str) -> Result<Vec<Object>> {
        let range = RangeSpec::all(name.to_owned(), "by_creation_time");
        self.query(async move |ctx| ctx.db.query_objects(range).collect().await)
            .await
    }

    /// The runtime underneath.
    ///
    /// # Panics
    /// When the application cannot be opened.
    pub async fn runtime(&self) -> &Runtime {
        self.opened.get_or_init(|| self.open()).await
    }

    async fn open(&self) -> Runtime {
        let setup = self.setup.lock().take().expect("a backend opens once");
        let Setup {
            application,
            seed,
            limits,
            dev,
            secrets,
            environment,
        } = setup;
        let clock: Arc<TestClock> = Arc::new(self.clock.clone());
        let (store, files): (Arc<dyn Store>, Arc<dyn FileStore>) = match &self.folder {
            None => (
                Arc::new(MemoryStore::new(clock.clone())),
                Arc::new(self.files.clone()),
            ),
            Some(folder) => {
                let options = SqliteOptions {
                    clock: clock.clone(),
                    ..SqliteOptions::default()
                };
                let store = SqliteStore::open(folder.path(), options).expect("a fresh store opens");
                let files =
                    LocalFiles::open(&folder.path().join("files")).expect("a fresh folder opens");
                (Arc::new(store), Arc::new(files))
            }
        };
        let environment = Box::new(move |name: &str| environment.get(name).cloned());
        let (seed, defaults) = (Some(seed), RuntimeOptions::default());
        let options = RuntimeOptions {
            clock,
            seed,
            limits,
            secrets,
            dev,
            environment,
            files,
            server_paths: lentil_server::SERVER_PATHS,
            ..defaults
        };
        let runtime = Runtime::open(application, store, options)
            .await
            .unwrap_or_else(|error| panic!("the backend opens: {error}"));
        let declared = runtime.declare_crons(self.clock.start_ms()).await;
        declared.unwrap_or_else(|error| panic!("the crons are declared: {error}"));
        runtime
    }
}
