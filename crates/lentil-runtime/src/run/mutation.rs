use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lentil_call::{Backoff, commit_error, store_error};
use lentil_store::{StoreError, Timestamp, WriteSet};
use lentil_values::{Object, Value};
use tokio::time::Instant;

use super::check::{check_args, check_result};
use super::guard::guard;
use super::nested::wrong_kind;
use super::turn::HoldsTurn;
use crate::call::Call;
use crate::database::Transaction;
use crate::executions::Ended;
use crate::function::Run;
use crate::schedule::ScheduledRun;
use crate::system::SessionRequest;
use crate::{
    CallSource, Caller, Code, DatabaseWriter, Error, Function, FunctionKind, Identity, MutationCtx,
    Result, Runtime,
};

tokio::task_local! {
    /// Set while a mutation runs in this task: one started in it without its context would wait for itself.
    static IN_MUTATION: ();
}

/// A mutation that has met a conflict this often runs alone from then on.
const DISTURBED_ATTEMPTS: u32 = 2;
const ATTEMPTS: u32 = 16;
/// The pauses after conflicts, as in Convex.
const CONFLICT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

impl Runtime {
    /// Runs a mutation in a transaction of its own, again while its store says that what it read has changed.
    pub(crate) async fn run_mutation(
        &self,
        function: &Arc<Function>,
        args: Object,
        call: &Call,
        once: Once<'_>,
    ) -> Result<(Value, Timestamp)> {
        let (began, mut log_lines) = (Instant::now(), Vec::new());
        let result = self
            .attempt_mutation(function, args, call, once, &mut log_lines)
            .await;
        call.log.extend(&log_lines);
        let ended = Ended {
            identifier: function.path.shared(),
            kind: Some(FunctionKind::Mutation),
            log_lines,
            began,
            is_cached: false,
            result: &result,
        };
        self.record(call, ended);
        result
    }

    /// Runs a mutation until an attempt meets no conflict; `log_lines` are that attempt's.
    async fn attempt_mutation(
        &self,
        function: &Arc<Function>,
        args: Object,
        call: &Call,
        once: Once<'_>,
        log_lines: &mut Vec<String>,
    ) -> Result<(Value, Timestamp)> {
        let Run::Mutation(run) = &function.run else {
            return Err(wrong_kind(function, FunctionKind::Mutation));
        };
        check_args(self, function, &args)?;
        let name = function.path.shared();
        let mut backoff = CONFLICT_BACKOFF;
        for attempt in 0..ATTEMPTS {
            let own = call.attempt(&name);
            let (mut ctx, turn) = self.mutation_ctx(&name, attempt, own).await?;
            let running = async {
                if let Some(answered) = once.answered(&mut ctx).await? {
                    return Ok(answered);
                }
                let value = run(&mut ctx, args.clone()).await?;
                check_result(self, function, &value)?;
                once.record(&mut ctx, &value).await?;
                Ok(value)
            };
            let result = guard(
                &name,
                turn.since,
                self.limits().mutation_time,
                pin!(IN_MUTATION.scope((), running)),
            )
            .await;
            let log = ctx.log.clone();
            if let Some(result) = self.end_mutation(&name, ctx, turn, result).await {
                *log_lines = log.lines();
                return result;
            }
            tokio::time::sleep(backoff.next_pause_with_jitter(rand::random())).await;
        }
        Err(store_error(StoreError::Conflict))
    }

    /// Runs `body` as a mutation and commits it.
    pub(crate) async fn transact<R>(
        &self,
        identity: Identity,
        source: Option<CallSource>,
        body: impl AsyncFn(&mut MutationCtx) -> Result<R>,
    ) -> Result<R> {
        let name: Arc<str> = "a mutation without a name".into();
        let source = source.unwrap_or_else(|| self.new_source(Caller::Tester));
        let call = Call::outermost(self.clone(), identity, source, &name);
        let mut backoff = CONFLICT_BACKOFF;
        for attempt in 0..ATTEMPTS {
            let own = call.attempt(&name);
            let (mut ctx, turn) = self.mutation_ctx(&name, attempt, own).await?;
            let result = guard(
                &name,
                turn.since,
                self.limits().mutation_time,
                pin!(IN_MUTATION.scope((), body(&mut ctx))),
            )
            .await;
            if let Some(result) = self.end_mutation(&name, ctx, turn, result).await {
                return result.map(|(value, _)| value);
            }
            tokio::time::sleep(backoff.next_pause_with_jitter(rand::random())).await;
        }
        Err(store_error(StoreError::Conflict))
    }

    /// A mutation's context on a transaction of its own, with the turn if the store gives turns.
    async fn mutation_ctx(
        &self,
        name: &Arc<str>,
        attempt: u32,
        call: Call,
    ) -> Result<(MutationCtx, HoldsTurn<'_>)> {
        if IN_MUTATION.try_with(|()| ()).is_ok() {
            let message =
                format!("`{name}` was started inside a mutation; call it with `ctx.run_mutation`");
            return Err(Error::new(Code::ReentrantMutation, message));
        }
        let (transaction, turn) = self
            .begin(name, attempt >= DISTURBED_ATTEMPTS)
            .await
            .map_err(store_error)?;
        let transaction = Transaction::mutation(
            Arc::clone(self.database()),
            transaction,
            self.store().catalog(),
        );
        Ok((
            MutationCtx::new(DatabaseWriter::over(Box::new(transaction)), call),
            turn,
        ))
    }

    /// Commits what a mutation wrote, or nothing if it failed; the result is released, with the timestamp that has
    /// it, once what it rests on is durable. `None` when the store met a conflict and the mutation is to run again.
    async fn end_mutation<R>(
        &self,
        name: &str,
        ctx: MutationCtx,
        turn: HoldsTurn<'_>,
        mut result: Result<R>,
    ) -> Option<Result<(R, Timestamp)>> {
        let Some(mut transaction) = ctx.db.into_reader().into_transaction() else {
            return Some(result.and_then(|_| Err(abandoned(name))));
        };
        if result.is_ok()
            && let Err(error) = transaction.check_unique().await
        {
            result = Err(error);
        }
        if transaction.has_conflict() {
            return None;
        }
        let (transaction, writes) = transaction.into_mutation();
        drop(turn);
        // A failed function writes nothing, but what it says may rest on commits that are not durable yet.
        let writes = if result.is_ok() {
            writes
        } else {
            WriteSet::empty()
        };
        let files = self.files();
        let deleted = files.deleted_blobs(&writes.writes);
        match transaction.commit(writes).await {
            Ok(timestamp) => {
                files.release(deleted);
                Some(result.map(|value| (value, timestamp)))
            }
            Err(error) if error.is_retryable() => None,
            Err(error) => Some(Err(commit_error(error))),
        }
    }
}

/// Whether a mutation may run more than once.
#[derive(Clone, Copy)]
pub(crate) enum Once<'a> {
    /// As often as it is called.
    No,
    /// Once for a client's request: asked for again, it answers what it answered, and writes nothing.
    Session(&'a SessionRequest),
    /// Once for a scheduled function.
    Scheduled(ScheduledRun),
}

impl Once<'_> {
    /// What it has answered, if it has run before.
    async fn answered(self, ctx: &mut MutationCtx) -> Result<Option<Value>> {
        match self {
            Once::No => Ok(None),
            Once::Session(request) => request.recorded(ctx).await,
            Once::Scheduled(run) => Ok(if run.is_pending(ctx).await? {
                None
            } else {
                Some(Value::Null)
            }),
        }
    }

    /// Writes down that it has run, in its own transaction.
    async fn record(self, ctx: &mut MutationCtx, value: &Value) -> Result<()> {
        match self {
            Once::No => Ok(()),
            Once::Session(request) => request.record(ctx, value),
            Once::Scheduled(run) => run.succeed(ctx).await,
        }
    }
}

fn abandoned(name: &str) -> Error {
    let message = format!("`{name}` dropped a nested call before it finished; nothing was written");
    Error::new(Code::Abandoned, message)
}
