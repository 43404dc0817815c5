use lentil_call::{Log, Result};
use lentil_database::{DatabaseReader, TransactionCell};
use lentil_schema::{Args, IntoArgs};
use lentil_values::ReturnType;

use crate::auth::Auth;
use crate::engine::{BoxFuture, Call};
use crate::environment::variable_within;
use crate::handler::Handler;
use crate::run::call_nested_query;
use crate::storage::StorageReader;
use crate::typed::{arguments, typed};

/// The context of a query: its first argument.
///
/// [`MutationCtx`](crate::MutationCtx) dereferences to it, so one helper reads in both:
///
/// ```
/// # use lentil::{Args, Doc, Document, Id, MutationCtx, QueryCtx, Result};
/// #[derive(Document, Clone)]
/// #[table("members")]
/// #[index(by_name(name))]
/// struct Member {
///     name: String,
///     joined_at: f64,
/// }
///
/// #[derive(Args)]
/// struct ByName {
///     name: String,
/// }
///
/// async fn find(ctx: &mut QueryCtx, name: &str) -> Result<Option<Doc<Member>>> {
///     ctx.db.query(Member::BY_NAME.eq(name)).first().await
/// }
///
/// async fn is_member(ctx: &mut QueryCtx, args: ByName) -> Result<bool> {
///     Ok(find(ctx, &args.name).await?.is_some())
/// }
///
/// async fn join(ctx: &mut MutationCtx, args: ByName) -> Result<Id<Member>> {
///     match find(ctx, &args.name).await? {
///         Some(member) => Ok(member.id),
///         None => ctx.db.insert(Member { name: args.name, joined_at: ctx.now()? }).await,
///     }
/// }
/// ```
pub struct QueryCtx {
    /// The database at the query's timestamp.
    pub db: DatabaseReader,
    /// The query's log lines.
    pub log: Log,
    /// The signed-in user.
    pub auth: Auth,
    /// Stored files.
    pub storage: StorageReader,
    pub(crate) call: Call,
}

impl QueryCtx {
    pub(crate) fn new(cell: TransactionCell, call: Call) -> QueryCtx {
        QueryCtx {
            storage: StorageReader::new(cell.clone(), &call.engine),
            db: DatabaseReader::on(cell),
            log: call.log.clone(),
            auth: call.auth.clone(),
            call,
        }
    }

    /// Returns the time at which the function began, in whole milliseconds since the Unix epoch.
    ///
    /// It does not change while the function runs. The cache keeps the result of a query that
    /// reads the time for a few seconds at most.
    ///
    /// # Errors
    /// [`Code::Abandoned`](crate::Code::Abandoned) after a nested call was dropped before it
    /// finished.
    pub fn now(&self) -> Result<f64> {
        let mut transaction = self.db.transaction()?;
        let now_ms = transaction.now_ms;
        if let Some(read_set) = transaction.read_set() {
            read_set.note_time();
        }
        Ok(now_ms.floor())
    }

    /// Returns an environment variable: of the process, or the value that the administrator
    /// stored, or a declared secret.
    ///
    /// The variable is part of what the function read: a live query runs again when the stored
    /// value changes.
    ///
    /// # Errors
    /// When the function has read more than its limits allow.
    pub async fn env(&self, name: &str) -> Result<Option<String>> {
        variable_within(&self.call.engine, &self.db, name).await
    }

    /// Returns a random number in `[0, 1)` from the function's own seed.
    pub fn random(&self) -> f64 {
        self.call.random.next_f64(self.call.engine.seeds())
    }

    /// Returns `count` random bytes from the function's own seed. No one can predict them: they
    /// are fit for keys and tokens.
    pub fn random_bytes(&self, count: usize) -> Vec<u8> {
        self.call.random.bytes(count, self.call.engine.seeds())
    }

    /// Runs another query in the same transaction.
    ///
    /// # Errors
    /// The error of the query. Fails if the query is not registered, or if its arguments or its
    /// result do not match its validators.
    pub fn run_query<'c, A, M, R, F>(
        &'c mut self,
        _query: F,
        args: impl IntoArgs<A>,
    ) -> BoxFuture<'c, Result<R>>
    where
        A: Args,
        R: ReturnType + 'c,
        F: Handler<QueryCtx, A, M, Returns = R>,
    {
        let function = self.call.engine.registry().handled_by::<F>();
        let args = arguments(args);
        Box::pin(async move {
            let function = function?;
            typed(call_nested_query(self.db.cell(), &self.call, &function, args?).await)
        })
    }
}
