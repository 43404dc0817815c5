//! The table `_scheduled_functions`, and what is done to it.

use std::sync::Arc;

use lentil_schema::Table;
use lentil_store::StoredDocument;
use lentil_values::{DocumentId, FieldName, Object, Value, v};

use super::orders::{Job, Order, new_job};
use crate::database::{Decode, Transaction};
use crate::system::{SystemTable, mutation, object, query};
use crate::{Function, FunctionPath, MutationCtx, QueryCtx, Result, Runtime};

pub(super) const TABLE: &str = "_scheduled_functions";
const BY_STATE: &str = "by_state";
const BY_COMPLETION: &str = "by_completion";

pub(super) const PENDING: &str = "_system/scheduler:pending";
const LIST: &str = "_system/scheduler:list";
pub(super) const ORDER: &str = "_system/scheduler:order";
pub(super) const CANCEL: &str = "_system/scheduler:cancel";
pub(super) const BEGIN: &str = "_system/scheduler:begin";
pub(super) const FINISH: &str = "_system/scheduler:finish";
pub(super) const RECOVER: &str = "_system/scheduler:recover";
pub(super) const PRUNE: &str = "_system/scheduler:prune";

/// Documents that one transaction deletes or mends.
pub(super) const BATCH: usize = 256;

/// The table's declaration.
pub(crate) fn table() -> Table {
    let state = v::object([("kind", v::string().into()), ("error", v::optional(v::string()))]);
    Table::new(TABLE)
        .field("name", v::string())
        .field("args", v::array(v::any()))
        .field("scheduledTime", v::number())
        .optional("completedTime", v::number())
        .field("state", state)
        .index(BY_STATE, ["state.kind", "scheduledTime"])
        .index(BY_COMPLETION, ["completedTime"])
}

/// A scheduled mutation that runs: it marks its document in its own transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobRun(pub(crate) DocumentId);

impl JobRun {
    /// Whether it is still to be run.
    pub(crate) async fn is_pending(self, ctx: &mut MutationCtx) -> Result<bool> {
        let found = ctx.db.transaction()?.get(self.0).await?;
        Ok(found.is_some_and(|document| kind(&document) == "pending"))
    }

    /// Marks it as done.
    pub(crate) async fn succeed(self, ctx: &mut MutationCtx) -> Result<()> {
        let mut transaction = ctx.db.transaction()?;
        finish(&mut transaction, self.0, None).await.map(drop)
    }
}

fn kind(document: &StoredDocument) -> &str {
    let state = document.fields.get("state").and_then(Value::as_object);
    state.and_then(|state| state.get("kind")?.as_str()).unwrap_or_default()
}

fn state(kind: &str, error: Option<&str>) -> Value {
    let error = error.map(|error| (FieldName::from_static("error"), Value::from(error)));
    Value::Object([(FieldName::from_static("kind"), Value::from(kind))].into_iter().chain(error).collect())
}

/// Writes a document's new state.
fn mark(transaction: &mut Transaction, old: Arc<StoredDocument>, to: Value, is_over: bool) -> Result<()> {
    let mut new = (*old).clone();
    new.fields.insert(FieldName::from_static("state"), to);
    if is_over {
        new.fields.insert(FieldName::from_static("completedTime"), Value::Float64(transaction.now_ms));
    }
    SystemTable::open(transaction, TABLE).put(Some(old), new)
}

/// Ends a job that is not over yet; says whether it was not.
async fn finish(transaction: &mut Transaction, id: DocumentId, error: Option<&str>) -> Result<bool> {
    let found = transaction.get(id).await?.filter(|job| matches!(kind(job), "pending" | "inProgress"));
    let Some(job) = found else { return Ok(false) };
    let to = if error.is_some() { "failed" } else { "success" };
    mark(transaction, job, state(to, error), true)?;
    Ok(true)
}

/// Writes a mutation's orders into its transaction.
pub(crate) async fn write(transaction: &mut Transaction, orders: Vec<Order>) -> Result<()> {
    for order in orders {
        match order {
            Order::Run(job) => insert(transaction, job)?,
            Order::Cancel(id) => cancel(transaction, id).await?,
        }
    }
    Ok(())
}

pub(super) fn insert(transaction: &mut Transaction, job: Job) -> Result<()> {
    let fields = [
        ("name", Value::from(job.path.to_js())),
        ("args", Value::Array(vec![Value::Object(job.args)])),
        ("scheduledTime", Value::Float64(job.at_ms)),
        ("state", state("pending", None)),
    ];
    let fields = fields.into_iter().map(|(name, value)| (FieldName::from_static(name), value)).collect();
    let document = StoredDocument { id: job.id, creation_time: job.creation_time, fields };
    SystemTable::open(transaction, TABLE).put(None, document)
}

async fn cancel(transaction: &mut Transaction, id: DocumentId) -> Result<()> {
    let is_jobs = id.table == transaction.runtime.tables().system(TABLE).number();
    let found = if is_jobs { transaction.get(id).await? } else { None };
    match found.filter(|job| matches!(kind(job), "pending" | "inProgress")) {
        Some(job) => mark(transaction, job, state("canceled", None), true),
        None => Ok(()),
    }
}

/// Whether a job is over, or was never there.
pub(super) async fn is_over(transaction: &mut Transaction, id: DocumentId) -> Result<bool> {
    let found = transaction.get(id).await?;
    Ok(found.is_none_or(|job| !matches!(kind(&job), "pending" | "inProgress")))
}

/// Writes an action's order at once.
pub(super) async fn order(runtime: &Runtime, order: Order) -> Result<()> {
    let (path, args) = match order {
        Order::Cancel(id) => (CANCEL, Object::from([("id", id.to_string())])),
        Order::Run(job) => {
            let fields = [
                ("id", Value::from(job.id.to_string())),
                ("creationTime", Value::Float64(job.creation_time)),
                ("name", Value::from(job.path.as_str())),
                ("args", Value::Object(job.args)),
                ("at", Value::Float64(job.at_ms)),
            ];
            (ORDER, Object::from(fields))
        }
    };
    runtime.system_mutation(path, args).await.map(drop)
}

fn id_of(args: &Object) -> Option<DocumentId> {
    args.get("id")?.as_str()?.parse().ok()
}

pub(crate) fn functions() -> Vec<Function> {
    let id = || ("id", v::string().into());
    vec![
        query(PENDING, [("limit", v::number().into())], |ctx, args| Box::pin(pending(ctx, args))),
        query(LIST, [("limit", v::optional(v::number()))], |ctx, args| Box::pin(list(ctx, args))),
        mutation(
            ORDER,
            [
                id(),
                ("creationTime", v::number().into()),
                ("name", v::string().into()),
                ("args", v::any().into()),
                ("at", v::number().into()),
            ],
            |ctx, args| Box::pin(async move { ordered(ctx, args) }),
        ),
        mutation(CANCEL, [id()], |ctx, args| {
            Box::pin(async move {
                let Some(id) = id_of(&args) else { return Ok(Value::Null) };
                let mut transaction = ctx.db.transaction()?;
                cancel(&mut transaction, id).await.map(|()| Value::Null)
            })
        }),
        mutation(BEGIN, [id()], |ctx, args| {
            Box::pin(async move {
                let Some(id) = id_of(&args) else { return Ok(Value::Boolean(false)) };
                let mut held = ctx.db.transaction()?;
                let transaction = &mut *held;
                let found = transaction.get(id).await?.filter(|job| kind(job) == "pending");
                let Some(job) = found else { return Ok(Value::Boolean(false)) };
                mark(transaction, job, state("inProgress", None), false)?;
                Ok(Value::Boolean(true))
            })
        }),
        mutation(FINISH, [id(), ("error", v::optional(v::string()))], |ctx, args| {
            Box::pin(async move {
                let Some(id) = id_of(&args) else { return Ok(Value::Null) };
                let error = args.get("error").and_then(Value::as_str);
                let mut transaction = ctx.db.transaction()?;
                finish(&mut transaction, id, error).await.map(|_| Value::Null)
            })
        }),
        mutation(RECOVER, [], |ctx, _| Box::pin(recover(ctx))),
        mutation(PRUNE, [("beforeMs", v::number().into())], |ctx, args| Box::pin(prune(ctx, args))),
    ]
}

/// The next jobs to be run, in the order of their times.
async fn pending(ctx: &mut QueryCtx, args: Object) -> Result<Value> {
    let limit = args.get("limit").and_then(Value::as_f64).unwrap_or_default() as usize;
    let mut transaction = ctx.db.transaction()?;
    let mut table = SystemTable::open(&mut transaction, TABLE);
    let rows = table.find(BY_STATE, &[Value::from("pending")], limit).await?;
    let jobs = rows.iter().map(|row| {
        let field = |name| row.document.fields.get(name).cloned().unwrap_or(Value::Null);
        object([
            ("id", Value::from(row.document.id.to_string())),
            ("name", field("name")),
            ("args", field("args")),
            ("at", field("scheduledTime")),
        ])
    });
    Ok(Value::Array(jobs.collect()))
}

/// The oldest scheduled functions, as documents.
async fn list(ctx: &mut QueryCtx, args: Object) -> Result<Value> {
    let limit = args.get("limit").and_then(Value::as_f64).unwrap_or(1_000.0) as usize;
    let mut transaction = ctx.db.transaction()?;
    let rows = SystemTable::open(&mut transaction, TABLE).oldest(limit).await?;
    let documents: Result<Vec<Object>> = rows.iter().map(|row| Object::decode(&row.document)).collect();
    Ok(Value::Array(documents?.into_iter().map(Value::Object).collect()))
}

fn ordered(ctx: &mut MutationCtx, mut args: Object) -> Result<Value> {
    let number = |name| args.get(name).and_then(Value::as_f64).unwrap_or_default();
    let (at_ms, creation_time) = (number("at"), number("creationTime"));
    let path = FunctionPath::parse(args.get("name").and_then(Value::as_str).unwrap_or_default())?;
    let id = id_of(&args);
    let Some(Value::Object(args)) = args.remove("args") else { return Ok(Value::Null) };
    let mut held = ctx.db.transaction()?;
    let transaction = &mut *held;
    let job = match id {
        Some(id) => Job { id, creation_time, path, args, at_ms },
        None => new_job(&transaction.runtime.clone(), path, args, at_ms)?,
    };
    insert(transaction, job).map(|()| Value::Null)
}

/// Fails actions that a crash has left running; says whether there may be more.
async fn recover(ctx: &mut MutationCtx) -> Result<Value> {
    let mut held = ctx.db.transaction()?;
    let transaction = &mut *held;
    let rows = SystemTable::open(transaction, TABLE).find(BY_STATE, &[Value::from("inProgress")], BATCH).await?;
    let count = rows.len();
    for row in rows {
        let to = state("failed", Some("the server stopped while the action ran; it may have done part of its work"));
        mark(transaction, row.document, to, true)?;
    }
    Ok(Value::Float64(count as f64))
}

/// Deletes the next jobs that were over before a time; returns how many it were.
async fn prune(ctx: &mut MutationCtx, args: Object) -> Result<Value> {
    let before = args.get("beforeMs").cloned().unwrap_or(Value::Null);
    let mut transaction = ctx.db.transaction()?;
    let mut table = SystemTable::open(&mut transaction, TABLE);
    let rows = table.between(BY_COMPLETION, &Value::Float64(f64::NEG_INFINITY), &before, BATCH).await?;
    let count = rows.len();
    rows.into_iter().for_each(|row| table.delete(row.document));
    Ok(Value::Float64(count as f64))
}
