//! The table `_scheduled_functions`, and what is done to it.

use std::sync::Arc;

use lentil_schema::{Document, Table};
use lentil_store::StoredDocument;
use lentil_values::{DocumentId, FieldName, Object, Value, ValueType, v};

use super::scheduler::{DueTime, Job, new_job};
use super::{CLOCK_STEP_MS, ScheduledFunction, ScheduledState};
use crate::database::Transaction;
use crate::system::{SystemTable, mutation, object, query};
use crate::{Code, Error, Function, FunctionPath, MutationCtx, QueryCtx, Result, Runtime};

const TABLE: &str = ScheduledFunction::TABLE;
const BY_STATE: &str = "by_state";
const BY_COMPLETION: &str = "by_completion";

pub(super) const PENDING: &str = "_system/scheduler:pending";
pub(super) const ORDER: &str = "_system/scheduler:order";
pub(super) const CANCEL: &str = "_system/scheduler:cancel";
pub(super) const BEGIN: &str = "_system/scheduler:begin";
pub(super) const FINISH: &str = "_system/scheduler:finish";
pub(super) const RECOVER: &str = "_system/scheduler:recover";
pub(super) const PRUNE: &str = "_system/scheduler:prune";
pub(super) const REPLAN: &str = "_system/scheduler:replan";

/// Of a job that was scheduled after a delay: when that began.
const DELAYED_FROM: &str = "delayedFrom";

/// Documents that one transaction deletes or mends; each may have megabytes of arguments.
pub(super) const BATCH: usize = 64;

/// The table's declaration.
pub(crate) fn table() -> Table {
    ScheduledFunction::table()
        .optional(DELAYED_FROM, v::number())
        .index(BY_STATE, ["state.kind", "scheduledTime"])
        .index(BY_COMPLETION, ["completedTime"])
}

/// A scheduled mutation that runs: it marks its document in its own transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobRun(pub(crate) DocumentId);

impl JobRun {
    /// Returns whether it is still to be run.
    pub(crate) async fn is_pending(self, ctx: &mut MutationCtx) -> Result<bool> {
        let found = ctx.db.transaction()?.get_uncounted(self.0).await?;
        Ok(found.is_some_and(|document| state(&document) == Some(ScheduledState::Pending)))
    }

    /// Marks it as done.
    pub(crate) async fn succeed(self, ctx: &mut MutationCtx) -> Result<()> {
        let mut transaction = ctx.db.transaction()?;
        if finish(&mut transaction, self.0, None).await? {
            Ok(())
        } else {
            Err(cancels_itself())
        }
    }
}

fn state(document: &StoredDocument) -> Option<ScheduledState> {
    ScheduledState::from_value(document.fields.get("state")?.clone()).ok()
}

fn is_open(document: &Arc<StoredDocument>) -> bool {
    state(document).is_some_and(|state| state.is_open())
}

/// Writes a document's new state.
fn mark(transaction: &mut Transaction, old: Arc<StoredDocument>, to: ScheduledState) -> Result<()> {
    let mut new = (*old).clone();
    let is_open = to.is_open();
    new.fields
        .insert(FieldName::from_static("state"), to.into_value());
    if !is_open {
        new.fields.insert(
            FieldName::from_static("completedTime"),
            Value::Float64(transaction.now_ms),
        );
    }
    SystemTable::open(transaction, TABLE).put(Some(old), new)
}

/// Ends a job that is not over yet; says whether it was not.
async fn finish(
    transaction: &mut Transaction,
    id: DocumentId,
    error: Option<&str>,
) -> Result<bool> {
    let found = transaction.get_uncounted(id).await?;
    let Some(job) = found.filter(is_open) else {
        return Ok(false);
    };
    let failed = |error: &str| ScheduledState::Failed {
        error: error.to_owned(),
    };
    mark(
        transaction,
        job,
        error.map_or(ScheduledState::Success, failed),
    )?;
    Ok(true)
}

/// Writes a job. It is canceled from the start if `caller`, the scheduled function that schedules it, was canceled.
///
/// The caller's state is read in the transaction that writes the job, so that the store notices a cancellation that
/// commits meanwhile.
pub(super) async fn insert(
    transaction: &mut Transaction,
    job: Job,
    caller: Option<DocumentId>,
) -> Result<()> {
    let is_canceled = match caller {
        Some(caller) => is_canceled(transaction, caller).await?,
        None => false,
    };
    let scheduled = ScheduledFunction {
        name: job.path.to_js(),
        args: vec![Value::Object(job.args)],
        scheduled_time: job.at_ms,
        completed_time: is_canceled.then_some(transaction.now_ms),
        state: if is_canceled {
            ScheduledState::Canceled
        } else {
            ScheduledState::Pending
        },
    };
    let mut fields = scheduled.into_fields();
    if let Some(from_ms) = job.delayed_from_ms {
        fields.insert(FieldName::from_static(DELAYED_FROM), from_ms.into());
    }
    let document = StoredDocument {
        id: job.id,
        creation_time: job.creation_time,
        fields,
    };
    SystemTable::open(transaction, TABLE).put(None, document)
}

/// Returns whether a scheduled function was canceled. Without a document it has ended long ago.
async fn is_canceled(transaction: &mut Transaction, id: DocumentId) -> Result<bool> {
    let found = transaction.get_uncounted(id).await?;
    Ok(found.is_none_or(|job| state(&job) == Some(ScheduledState::Canceled)))
}

fn cancels_itself() -> Error {
    let message =
        "a scheduled mutation cannot cancel itself while it runs; return early or fail instead";
    Error::new(Code::CancelsItself, message)
}

/// Cancels a job that is not over. A scheduled mutation that cancels itself fails when it would succeed.
pub(super) async fn cancel(transaction: &mut Transaction, id: DocumentId) -> Result<()> {
    transaction
        .env()
        .tables
        .check_id("scheduler.cancel", id, TABLE)?;
    match transaction.get(id).await?.filter(is_open) {
        Some(job) => mark(transaction, job, ScheduledState::Canceled),
        None => Ok(()),
    }
}

/// Returns whether a job is over, or was never there.
pub(super) async fn is_over(transaction: &mut Transaction, id: DocumentId) -> Result<bool> {
    let found = transaction.get(id).await?;
    Ok(!found.as_ref().is_some_and(is_open))
}

/// Writes an action's order at once.
pub(super) async fn order(runtime: &Runtime, job: Job, caller: Option<DocumentId>) -> Result<()> {
    let mut args = Object::from([
        ("id", Value::from(job.id.to_string())),
        ("creationTime", Value::Float64(job.creation_time)),
        ("name", Value::from(job.path.as_str())),
        ("args", Value::Object(job.args)),
        ("at", Value::Float64(job.at_ms)),
    ]);
    if let Some(from_ms) = job.delayed_from_ms {
        args.insert(FieldName::from_static(DELAYED_FROM), from_ms.into());
    }
    if let Some(caller) = caller {
        args.insert(
            FieldName::from_static("caller"),
            Value::from(caller.to_string()),
        );
    }
    runtime.system_mutation(ORDER, args).await.map(drop)
}

/// Cancels a job at once, for an action.
pub(super) async fn cancel_at_once(runtime: &Runtime, id: DocumentId) -> Result<()> {
    runtime
        .system_mutation(CANCEL, Object::from([("id", id.to_string())]))
        .await
        .map(drop)
}

fn id_of(args: &Object, name: &str) -> Option<DocumentId> {
    args.get(name)?.as_str()?.parse().ok()
}

pub(crate) fn functions() -> Vec<Function> {
    let id = || ("id", v::string().into());
    vec![
        query(PENDING, [("limit", v::number().into())], |ctx, args| {
            Box::pin(pending(ctx, args))
        }),
        mutation(
            ORDER,
            [
                id(),
                ("creationTime", v::number().into()),
                ("name", v::string().into()),
                ("args", v::any().into()),
                ("at", v::number().into()),
                (DELAYED_FROM, v::optional(v::number())),
                ("caller", v::optional(v::string())),
            ],
            |ctx, args| Box::pin(ordered(ctx, args)),
        ),
        mutation(CANCEL, [id()], |ctx, args| {
            Box::pin(async move {
                let Some(id) = id_of(&args, "id") else {
                    return Ok(Value::Null);
                };
                let mut transaction = ctx.db.transaction()?;
                cancel(&mut transaction, id).await.map(|()| Value::Null)
            })
        }),
        mutation(BEGIN, [id()], |ctx, args| {
            Box::pin(async move {
                let Some(id) = id_of(&args, "id") else {
                    return Ok(Value::Boolean(false));
                };
                let mut held = ctx.db.transaction()?;
                let transaction = &mut *held;
                let found = transaction.get(id).await?;
                let found = found.filter(|job| state(job) == Some(ScheduledState::Pending));
                let Some(job) = found else {
                    return Ok(Value::Boolean(false));
                };
                mark(transaction, job, ScheduledState::InProgress)?;
                Ok(Value::Boolean(true))
            })
        }),
        mutation(
            FINISH,
            [id(), ("error", v::optional(v::string()))],
            |ctx, args| {
                Box::pin(async move {
                    let Some(id) = id_of(&args, "id") else {
                        return Ok(Value::Null);
                    };
                    let error = args.get("error").and_then(Value::as_str);
                    let mut transaction = ctx.db.transaction()?;
                    finish(&mut transaction, id, error)
                        .await
                        .map(|_| Value::Null)
                })
            },
        ),
        mutation(RECOVER, [], |ctx, _| Box::pin(recover(ctx))),
        mutation(REPLAN, [("after", v::optional(v::bytes()))], |ctx, args| {
            Box::pin(replan(ctx, args))
        }),
        mutation(PRUNE, [("beforeMs", v::number().into())], |ctx, args| {
            Box::pin(prune(ctx, args))
        }),
    ]
}

/// The next jobs to be run, in the order of their times.
async fn pending(ctx: &mut QueryCtx, args: Object) -> Result<Value> {
    let limit = args
        .get("limit")
        .and_then(Value::as_f64)
        .unwrap_or_default() as usize;
    let mut transaction = ctx.db.transaction()?;
    let mut table = SystemTable::open(&mut transaction, TABLE);
    let rows = table
        .find_uncounted(
            BY_STATE,
            &[ScheduledState::Pending.kind().into()],
            None,
            limit,
        )
        .await?;
    let jobs = rows.iter().map(|row| {
        let field = |name| {
            row.document
                .fields
                .get(name)
                .cloned()
                .unwrap_or(Value::Null)
        };
        object([
            ("id", Value::from(row.document.id.to_string())),
            ("name", field("name")),
            ("at", field("scheduledTime")),
        ])
    });
    Ok(Value::Array(jobs.collect()))
}

async fn ordered(ctx: &mut MutationCtx, mut args: Object) -> Result<Value> {
    let number = |name| args.get(name).and_then(Value::as_f64).unwrap_or_default();
    let (at_ms, creation_time) = (number("at"), number("creationTime"));
    let delayed_from_ms = args.get(DELAYED_FROM).and_then(Value::as_f64);
    let path = FunctionPath::parse(args.get("name").and_then(Value::as_str).unwrap_or_default())?;
    let (id, caller) = (id_of(&args, "id"), id_of(&args, "caller"));
    let Some(Value::Object(args)) = args.remove("args") else {
        return Ok(Value::Null);
    };
    let mut held = ctx.db.transaction()?;
    let transaction = &mut *held;
    let job = match id {
        Some(id) => Job {
            id,
            creation_time,
            path,
            args,
            at_ms,
            delayed_from_ms,
        },
        None => {
            let due = DueTime::At(at_ms);
            new_job(&ctx.call.runtime, path, args, due)?
        }
    };
    insert(transaction, job, caller).await.map(|()| Value::Null)
}

/// Fails actions that a crash has left running; says whether there may be more.
async fn recover(ctx: &mut MutationCtx) -> Result<Value> {
    let mut held = ctx.db.transaction()?;
    let transaction = &mut *held;
    let running = [ScheduledState::InProgress.kind().into()];
    let rows = SystemTable::open(transaction, TABLE)
        .find_uncounted(BY_STATE, &running, None, BATCH)
        .await?;
    let count = rows.len();
    for row in rows {
        let error =
            "the server stopped while the action ran; it may have done part of its work".to_owned();
        mark(transaction, row.document, ScheduledState::Failed { error })?;
    }
    Ok(Value::Float64(count as f64))
}

/// Restarts the delays of the next jobs that seem to have been scheduled in the future. Returns the key of the last
/// job that it has checked; null after the last one.
async fn replan(ctx: &mut MutationCtx, args: Object) -> Result<Value> {
    let mut held = ctx.db.transaction()?;
    let transaction = &mut *held;
    let now_ms = transaction.now_ms;
    let pending = [ScheduledState::Pending.kind().into()];
    let after = match args.get("after") {
        Some(Value::Bytes(key)) => Some(key.as_slice()),
        _ => None,
    };
    let rows = SystemTable::open(transaction, TABLE)
        .find_uncounted(BY_STATE, &pending, after, BATCH)
        .await?;
    let last = rows.last().map(|row| row.key.as_bytes().to_vec());
    for row in rows {
        let fields = &row.document.fields;
        let time = |name| fields.get(name).and_then(Value::as_f64);
        let times = (time(DELAYED_FROM), time("scheduledTime"));
        let (Some(from_ms), Some(at_ms)) = times else {
            continue;
        };
        if from_ms <= now_ms + CLOCK_STEP_MS {
            continue;
        }
        let mut new = (*row.document).clone();
        let at_ms = now_ms + (at_ms - from_ms);
        new.fields
            .insert(FieldName::from_static("scheduledTime"), at_ms.into());
        new.fields
            .insert(FieldName::from_static(DELAYED_FROM), now_ms.into());
        SystemTable::open(transaction, TABLE).put(Some(row.document), new)?;
    }
    Ok(last.map_or(Value::Null, Value::Bytes))
}

/// Deletes the next jobs that were over before a time; returns how many it were.
async fn prune(ctx: &mut MutationCtx, args: Object) -> Result<Value> {
    let before = args.get("beforeMs").cloned().unwrap_or(Value::Null);
    let mut transaction = ctx.db.transaction()?;
    let mut table = SystemTable::open(&mut transaction, TABLE);
    let rows = table
        .between(
            BY_COMPLETION,
            &Value::Float64(f64::NEG_INFINITY),
            &before,
            BATCH,
        )
        .await?;
    let count = rows.len();
    rows.into_iter().for_each(|row| table.delete(row.document));
    Ok(Value::Float64(count as f64))
}
