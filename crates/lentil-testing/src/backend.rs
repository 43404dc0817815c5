use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use lentil_runtime::http::Body;
use lentil_runtime::{
    ActionCtx, ActionHandler, CallSource, Caller, Code, Error, FunctionCall, FunctionPath,
    Functions, Handler, HttpRouter, Identity, Limits, MutationCtx, QueryCtx, RequestId, Result,
    Runtime, UserIdentity,
};
use lentil_schema::{Args, Doc, Document, IntoArgs, RangeSpec, Schema};
use lentil_store::MemoryFiles;
use lentil_system::{Crons, System};
use lentil_values::{Object, ReturnType, Value};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::clock::TestClock;
use crate::response::TestResponse;
use crate::setup::{Opened, Setup};

/// 2026-01-01T00:00:00Z, the time at which every test begins.
// A fixed time, so that ids and creation times are the same in each execution of a test.
const BEGIN_MS: f64 = 1_767_225_600_000.0;

/// A backend for tests: the application on a new store in memory.
///
/// Functions run as in production: in transactions, with validation, limits and the query cache.
/// The clock stands still until the test moves it. Ids and random numbers come from a seed.
///
/// The backend opens at the first call. If the application cannot be opened, for example because
/// of a wrong schema, that call panics.
///
/// # Scheduled functions
///
/// Scheduled functions and crons do not run by themselves. [`TestBackend::run_due`] runs those that
/// are due by the clock:
///
/// ```
/// # use std::time::Duration;
/// # use lentil::{Args, Document, Functions, MutationCtx, Result, Schema};
/// # use lentil_testing::TestBackend;
/// #[derive(Document, Clone)]
/// #[table("reminders")]
/// struct Reminder {
///     text: String,
/// }
///
/// #[derive(Args)]
/// struct Remind {
///     text: String,
/// }
///
/// async fn remind_tomorrow(ctx: &mut MutationCtx, args: Remind) -> Result<()> {
///     let day = Duration::from_secs(24 * 60 * 60);
///     ctx.scheduler.run_after(day, remind, args).await?;
///     Ok(())
/// }
///
/// async fn remind(ctx: &mut MutationCtx, args: Remind) -> Result<()> {
///     ctx.db.insert(Reminder { text: args.text }).await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let functions = Functions::in_module("reminders")
///     .mutation("remindTomorrow", remind_tomorrow)
///     .internal_mutation("remind", remind);
/// let t = TestBackend::new(Schema::new().table::<Reminder>()).functions(functions);
/// t.run_mutation(remind_tomorrow, Remind { text: "water".into() }).await?;
/// assert_eq!(t.run_due().await?, 0);
///
/// t.advance(Duration::from_secs(24 * 60 * 60));
/// assert_eq!(t.run_due().await?, 1);
/// assert_eq!(t.documents::<Reminder>().await?[0].text, "water");
/// # Ok(())
/// # }
/// ```
pub struct TestBackend {
    shared: Arc<Shared>,
    caller: Mutex<TestCaller>,
}

/// The parts that [`TestBackend::as_user`] shares with the backend it is called on.
struct Shared {
    /// The setup, until the backend is opened.
    // Opening is asynchronous and the setup methods are not, so the first call opens the backend.
    setup: Mutex<Option<Setup>>,
    opened: OnceCell<Opened>,
    clock: TestClock,
    files: MemoryFiles,
}

/// The caller of functions.
#[derive(Clone)]
struct TestCaller {
    user: Option<Arc<UserIdentity>>,
    source: CallSource,
}

impl TestBackend {
    /// Returns a backend with these tables.
    pub fn new(schema: Schema) -> TestBackend {
        let request_id = RequestId::given("test").expect("it is a request id");
        TestBackend {
            shared: Arc::new(Shared {
                setup: Mutex::new(Some(Setup::new(schema))),
                opened: OnceCell::new(),
                clock: TestClock::at_ms(BEGIN_MS),
                files: MemoryFiles::new(),
            }),
            caller: Mutex::new(TestCaller {
                user: None,
                source: CallSource::new(Caller::Tester, request_id),
            }),
        }
    }

    /// Registers functions, so that they can be called.
    #[must_use]
    pub fn functions(self, functions: Functions) -> TestBackend {
        self.configure(|setup| setup.functions(functions))
    }

    /// Adds crons, from the start of the test on. [`TestBackend::run_due`] runs those that are due.
    #[must_use]
    pub fn crons(self, crons: Crons) -> TestBackend {
        self.configure(|setup| setup.crons(crons))
    }

    /// Sets the HTTP routes.
    #[must_use]
    pub fn http(self, router: HttpRouter) -> TestBackend {
        self.configure(|setup| setup.http(router))
    }

    /// Declares a secret with this value.
    #[must_use]
    pub fn secret(self, name: &str, value: &str) -> TestBackend {
        self.configure(|setup| setup.secret(name, value))
    }

    /// Sets the seed of ids and random numbers. The default is 0.
    #[must_use]
    pub fn seed(self, seed: u64) -> TestBackend {
        self.configure(|setup| setup.seed = seed)
    }

    /// Sets the limits of a call.
    #[must_use]
    pub fn limits(self, limits: Limits) -> TestBackend {
        self.configure(|setup| setup.limits = limits)
    }

    /// Sets whether HTTP clients receive the messages of internal errors. By default they do.
    #[must_use]
    pub fn dev(self, dev: bool) -> TestBackend {
        self.configure(|setup| setup.dev = dev)
    }

    /// Sets an environment variable. Tests do not see the variables of the process.
    #[must_use]
    pub fn env(self, name: &str, value: &str) -> TestBackend {
        self.configure(|setup| setup.env(name, value))
    }

    /// Stores documents in SQLite and files in a temporary folder, instead of in memory.
    #[must_use]
    pub fn on_sqlite(self) -> TestBackend {
        self.configure(|setup| setup.on_sqlite = true)
    }

    fn configure(self, change: impl FnOnce(&mut Setup)) -> TestBackend {
        let mut setup = self.shared.setup.lock();
        change(
            setup
                .as_mut()
                .expect("a backend is set up before its first call"),
        );
        drop(setup);
        self
    }

    /// Returns the same backend with another signed-in user, for the calls made through it.
    ///
    /// ```
    /// # use lentil::{Functions, OrError, QueryCtx, Result, Schema, UserIdentity};
    /// # use lentil_testing::TestBackend;
    /// async fn subject(ctx: &mut QueryCtx, (): ()) -> Result<String> {
    ///     let user = ctx.auth.user_identity().or_error("nobody is signed in")?;
    ///     Ok(user.subject().to_owned())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let functions = Functions::in_module("users").query("subject", subject);
    /// let t = TestBackend::new(Schema::new()).functions(functions);
    /// let ada = t.as_user(UserIdentity::new("https://login.example.com", "ada"));
    /// assert_eq!(ada.run_query(subject, ()).await?, "ada");
    /// assert!(t.run_query(subject, ()).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn as_user(&self, user: UserIdentity) -> TestBackend {
        let source = self.source();
        TestBackend {
            shared: Arc::clone(&self.shared),
            caller: Mutex::new(TestCaller {
                user: Some(Arc::new(user)),
                source,
            }),
        }
    }

    /// Signs a user in, for the calls that follow.
    pub fn sign_in(&self, user: UserIdentity) {
        self.caller.lock().user = Some(Arc::new(user));
    }

    /// Signs the user out.
    pub fn sign_out(&self) {
        self.caller.lock().user = None;
    }

    /// Sets the request that causes the calls that follow, as `ctx.meta.request()` returns it.
    pub fn request_from(&self, ip: IpAddr, user_agent: &'static str) {
        let user_agent = HeaderValue::from_static(user_agent);
        let source = self.source().with_peer(Some(ip), Some(user_agent));
        self.caller.lock().source = source;
    }

    fn source(&self) -> CallSource {
        self.caller.lock().source.clone()
    }

    fn user(&self) -> Option<Arc<UserIdentity>> {
        self.caller.lock().user.clone()
    }

    fn identity(&self) -> Identity {
        match self.user() {
            Some(user) => Identity::User(user),
            None => Identity::Anonymous,
        }
    }

    /// Returns the files that functions have stored in memory.
    pub fn files(&self) -> &MemoryFiles {
        &self.shared.files
    }

    /// Returns the clock, which the test moves.
    pub fn clock(&self) -> &TestClock {
        &self.shared.clock
    }

    /// Advances the clock.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// Runs a registered query: `t.run_query(jobs::get, Get { id }).await`.
    ///
    /// # Errors
    /// The error of the query, or that it is not registered.
    pub async fn run_query<A, M, R, F>(&self, query: F, args: impl IntoArgs<A>) -> Result<R>
    where
        A: Args,
        R: ReturnType,
        F: Handler<QueryCtx, A, M, Returns = R>,
    {
        let args = object(args)?;
        // Through a context, which also validates the arguments and the result.
        self.query(async |ctx| ctx.run_query(query, args).await)
            .await
    }

    /// Runs a registered mutation. Its writes are committed when this returns.
    ///
    /// # Errors
    /// The error of the mutation, or that it is not registered. It wrote nothing.
    pub async fn run_mutation<A, M, R, F>(&self, mutation: F, args: impl IntoArgs<A>) -> Result<R>
    where
        A: Args,
        R: ReturnType,
        F: Handler<MutationCtx, A, M, Returns = R> + Copy,
    {
        let args = object(args)?;
        self.mutation(async |ctx| ctx.run_mutation(mutation, args.clone()).await)
            .await
    }

    /// Runs a registered action.
    ///
    /// # Errors
    /// The error of the action, or that it is not registered.
    pub async fn run_action<A, M, R, F>(&self, action: F, args: impl IntoArgs<A>) -> Result<R>
    where
        A: Args,
        R: ReturnType,
        F: ActionHandler<ActionCtx, A, M, Returns = R>,
    {
        let args = object(args)?;
        self.action(async |ctx| ctx.run_action(action, args).await)
            .await
    }

    /// Runs `body` as a query.
    ///
    /// # Errors
    /// The error of `body`.
    pub async fn query<R>(&self, body: impl AsyncFnOnce(&mut QueryCtx) -> Result<R>) -> Result<R> {
        self.runtime().await.with_query(self.identity(), body).await
    }

    /// Runs `body` as a mutation. Its writes are committed if it succeeds.
    ///
    /// A mutation may run again after a conflict, so `body` cannot move captured values out: clone
    /// arguments in it.
    ///
    /// # Errors
    /// The error of `body`.
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
    /// The error of `body`.
    pub async fn action<R>(&self, body: impl AsyncFnOnce(&ActionCtx) -> Result<R>) -> Result<R> {
        self.runtime()
            .await
            .with_action(self.identity(), Some(self.source()), body)
            .await
    }

    /// Calls a registered function by its path, as other functions and the administrator can.
    ///
    /// # Errors
    /// The error of the function, or that the path is not registered.
    pub async fn call(&self, path: &str, args: impl Into<Object>) -> Result<Value> {
        // Only the administrator may call internal functions. The function still sees the user.
        let acting_as = self.user();
        self.call_as(Identity::Admin { acting_as }, path, args.into())
            .await
    }

    /// Calls a public function by its path, as every client can.
    ///
    /// # Errors
    /// The error of the function, or that there is no public function of this path.
    pub async fn call_public(&self, path: &str, args: impl Into<Object>) -> Result<Value> {
        self.call_as(self.identity(), path, args.into()).await
    }

    async fn call_as(&self, identity: Identity, path: &str, args: Object) -> Result<Value> {
        let path = FunctionPath::parse(path)?;
        let call = FunctionCall::new(path, args, identity).with_source(self.source());
        self.runtime().await.call(call, None).await.result
    }

    /// Sends an HTTP request to the routes, without a socket.
    ///
    /// # Panics
    /// When the response's body fails.
    pub async fn fetch<B: Into<Body>>(&self, request: http::Request<B>) -> TestResponse {
        let (parts, body) = request.into_parts();
        let runtime = self.runtime().await;
        let response = runtime
            .fetch(Box::new(parts), body.into(), self.identity(), self.source())
            .await;
        let (parts, body) = response.into_parts();
        let body = body.bytes().await.expect("the response's body is complete");
        TestResponse {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Runs the scheduled functions and crons that are due by the clock, until none is due.
    /// Returns how many it ran.
    ///
    /// # Errors
    /// When the store fails. A function that fails is recorded as failed.
    pub async fn run_due(&self) -> Result<usize> {
        let opened = self.opened().await;
        opened.system.run_due(&opened.runtime).await
    }

    /// Returns every document of a table, in the order of creation.
    ///
    /// # Errors
    /// When the schema does not declare the table.
    pub async fn documents<T: Document>(&self) -> Result<Vec<Doc<T>>> {
        self.query(async |ctx| ctx.db.query(T::all()).collect().await)
            .await
    }

    /// Returns every document of the table with this name, in the order of creation, with its
    /// system fields.
    ///
    /// # Errors
    /// When the schema does not declare the table.
    pub async fn table(&self, name: &str) -> Result<Vec<Object>> {
        let range = RangeSpec::all(name.to_owned(), "by_creation_time");
        self.query(async move |ctx| ctx.db.query_objects(range).collect().await)
            .await
    }

    /// Returns the runtime.
    ///
    /// # Panics
    /// When the application cannot be opened.
    pub async fn runtime(&self) -> &Runtime {
        &self.opened().await.runtime
    }

    /// Returns the system's modules.
    ///
    /// # Panics
    /// When the application cannot be opened.
    pub async fn system(&self) -> &System {
        &self.opened().await.system
    }

    async fn opened(&self) -> &Opened {
        let shared = &*self.shared;
        let opened = shared.opened.get_or_init(|| async {
            let setup = shared.setup.lock().take();
            let setup = setup.expect("a backend opens once");
            setup.open(&shared.clock, &shared.files).await
        });
        opened.await
    }
}

fn object<A: Args>(args: impl IntoArgs<A>) -> Result<Object> {
    args.into_args()
        .map_err(|error| Error::new(Code::ArgumentValidation, format!("the arguments: {error}")))
}
