use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use lentil_call::{Log, Result};
use lentil_database::{DatabaseWriter, TransactionCell};
use lentil_schema::{Args, IntoArgs};
use lentil_values::ReturnType;

use super::meta::Meta;
use super::query::QueryCtx;
use crate::auth::Auth;
use crate::engine::{BoxFuture, Call};
use crate::handler::Handler;
use crate::run::call_nested_mutation;
use crate::schedule::Scheduler;
use crate::storage::StorageWriter;
use crate::typed::{arguments, typed};

/// The context of a mutation: its first argument.
///
/// It dereferences to a [`QueryCtx`] in the same transaction, which has `now`, `env` and `random`.
/// A helper that takes `&mut QueryCtx` sees the writes of the mutation.
///
/// ```
/// # use std::time::Duration;
/// # use lentil::{Args, Document, MutationCtx, Result};
/// #[derive(Document, Clone)]
/// #[table("invitations")]
/// struct Invitation {
///     email: String,
///     expires_at: f64,
/// }
///
/// #[derive(Args)]
/// struct Invite {
///     email: String,
/// }
///
/// async fn invite(ctx: &mut MutationCtx, args: Invite) -> Result<()> {
///     let day = Duration::from_secs(24 * 60 * 60);
///     ctx.db
///         .insert(Invitation {
///             email: args.email,
///             expires_at: ctx.now()? + day.as_secs_f64() * 1e3,
///         })
///         .await?;
///     ctx.scheduler.run_after(day, delete_expired, ()).await?;
///     Ok(())
/// }
///
/// async fn delete_expired(ctx: &mut MutationCtx, (): ()) -> Result<()> {
///     let now = ctx.now()?;
///     for invitation in ctx.db.query(Invitation::all()).collect().await? {
///         if invitation.expires_at <= now {
///             ctx.db.delete(invitation.id).await?;
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct MutationCtx {
    /// The database, to read and to write.
    pub db: DatabaseWriter,
    /// The mutation's log lines.
    pub log: Log,
    /// The signed-in user.
    pub auth: Auth,
    /// The request that caused the call.
    pub meta: Meta,
    /// Schedules functions, which run if this mutation succeeds.
    pub scheduler: Scheduler,
    /// Stored files.
    pub storage: StorageWriter,
    /// The same transaction, to be read only.
    query: QueryCtx,
}

impl MutationCtx {
    pub(crate) fn new(cell: TransactionCell, call: Call) -> MutationCtx {
        MutationCtx {
            db: DatabaseWriter::on(cell.clone()),
            log: call.log.clone(),
            auth: call.auth.clone(),
            meta: Meta::new(Arc::clone(&call.source)),
            scheduler: Scheduler::of_mutation(&call, cell.clone()),
            storage: StorageWriter::new(cell.clone(), &call.engine),
            query: QueryCtx::new(cell, call),
        }
    }

    /// Runs a query that sees what this mutation has written.
    ///
    /// # Errors
    /// As [`QueryCtx::run_query`].
    pub fn run_query<'c, A, M, R, F>(
        &'c mut self,
        query: F,
        args: impl IntoArgs<A>,
    ) -> BoxFuture<'c, Result<R>>
    where
        A: Args,
        R: ReturnType + 'c,
        F: Handler<QueryCtx, A, M, Returns = R>,
    {
        self.query.run_query(query, args)
    }

    /// Runs another mutation as a part of this one.
    ///
    /// A nested mutation that fails undoes its own writes only. This mutation may handle the error
    /// and go on.
    ///
    /// # Errors
    /// As [`QueryCtx::run_query`].
    pub fn run_mutation<'c, A, M, R, F>(
        &'c mut self,
        _mutation: F,
        args: impl IntoArgs<A>,
    ) -> BoxFuture<'c, Result<R>>
    where
        A: Args,
        R: ReturnType + 'c,
        F: Handler<MutationCtx, A, M, Returns = R>,
    {
        let function = self.call.engine.registry().handled_by::<F>();
        let args = arguments(args);
        Box::pin(async move {
            let function = function?;
            typed(call_nested_mutation(self.db.cell(), &self.call, &function, args?).await)
        })
    }
}

impl Deref for MutationCtx {
    type Target = QueryCtx;

    fn deref(&self) -> &QueryCtx {
        &self.query
    }
}

impl DerefMut for MutationCtx {
    fn deref_mut(&mut self) -> &mut QueryCtx {
        &mut self.query
    }
}
