//! The table `_cron_jobs`: when each cron is due next, so that it goes on over restarts.

use std::sync::Arc;
use std::time::Duration;

use lentil_schema::Table;
use lentil_store::StoredDocument;
use lentil_values::{DocumentId, FieldName, Object, Value, v};

use super::OpenCron;
use super::jobs;
use super::scheduler::{DueTime, new_job};
use crate::database::Transaction;
use crate::system::{SystemTable, mutation, object, query};
use crate::{Function, MutationCtx, Result, Runtime};

const TABLE: &str = "_cron_jobs";
const BY_NAME: &str = "by_name";
const MAX_CRONS: usize = 1_000;

pub(super) const LIST: &str = "_system/crons:list";
const DECLARE: &str = "_system/crons:declare";
const FIRE: &str = "_system/crons:fire";
const REPLAN: &str = "_system/crons:replan";

/// The table's declaration.
pub(crate) fn table() -> Table {
    Table::new(TABLE)
        .field("name", v::string())
        .field("schedule", v::string())
        .field("nextTime", v::number())
        .optional("lastJob", v::string())
        .index(BY_NAME, ["name"])
}

pub(crate) fn functions() -> Vec<Function> {
    let times = || {
        [
            ("name", v::string().into()),
            ("dueTime", v::number().into()),
            ("nextTime", v::number().into()),
        ]
    };
    let cron = v::object([
        ("name", v::string()),
        ("schedule", v::string()),
        ("nextTime", v::number()),
    ]);
    vec![
        query(LIST, [], |ctx, _| {
            Box::pin(async move {
                let mut transaction = ctx.db.transaction()?;
                let rows = SystemTable::open(&mut transaction, TABLE)
                    .find_uncounted(BY_NAME, &[], None, MAX_CRONS)
                    .await?;
                Ok(Value::Array(
                    rows.iter()
                        .map(|row| Value::Object(row.document.fields.clone()))
                        .collect(),
                ))
            })
        }),
        mutation(DECLARE, [("crons", v::array(cron).into())], |ctx, args| {
            Box::pin(declare(ctx, args))
        }),
        mutation(FIRE, times(), |ctx, args| Box::pin(fire(ctx, args))),
        mutation(REPLAN, times(), |ctx, args| Box::pin(replan(ctx, args))),
    ]
}

fn text<'a>(fields: &'a Object, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Makes the table hold just these crons; one whose schedule is as it was keeps its time.
async fn declare(ctx: &mut MutationCtx, args: Object) -> Result<Value> {
    let crons = args
        .get("crons")
        .and_then(Value::as_array)
        .unwrap_or_default();
    let declared: Vec<&Object> = crons.iter().filter_map(Value::as_object).collect();
    let mut transaction = ctx.db.transaction()?;
    let mut table = SystemTable::open(&mut transaction, TABLE);
    let mut kept = Vec::new();
    for row in table.find_uncounted(BY_NAME, &[], None, MAX_CRONS).await? {
        let fields = &row.document.fields;
        let is_same = |cron: &&&Object| {
            ["name", "schedule"]
                .iter()
                .all(|name| text(cron, name) == text(fields, name))
        };
        match declared.iter().find(is_same) {
            Some(cron) => kept.push(text(cron, "name").to_owned()),
            None => table.delete(row.document),
        }
    }
    for cron in declared
        .into_iter()
        .filter(|cron| !kept.iter().any(|name| name == text(cron, "name")))
    {
        let field = |name: &'static str| (name, cron.get(name).cloned().unwrap_or(Value::Null));
        table.insert(["name", "schedule", "nextTime"].map(field))?;
    }
    Ok(Value::Null)
}

/// A cron's document, if the cron is due when the caller believes it is.
async fn due_at(
    transaction: &mut Transaction,
    args: &Object,
) -> Result<Option<Arc<StoredDocument>>> {
    let name = args.get("name").cloned().unwrap_or(Value::Null);
    let rows = SystemTable::open(transaction, TABLE)
        .find_uncounted(BY_NAME, &[name], None, 1)
        .await?;
    let found = rows.into_iter().next().map(|row| row.document);
    Ok(found.filter(|document| document.fields.get("nextTime") == args.get("dueTime")))
}

/// The document of a cron that is due at another time.
fn with_next_time(due: &StoredDocument, args: &Object) -> StoredDocument {
    let mut new = due.clone();
    new.fields.insert(
        FieldName::from_static("nextTime"),
        args.get("nextTime").cloned().unwrap_or(Value::Null),
    );
    new
}

/// Changes the time at which a cron is due.
async fn replan(ctx: &mut MutationCtx, args: Object) -> Result<Value> {
    let mut held = ctx.db.transaction()?;
    let transaction = &mut *held;
    if let Some(due) = due_at(transaction, &args).await? {
        let new = with_next_time(&due, &args);
        SystemTable::open(transaction, TABLE).put(Some(due), new)?;
    }
    Ok(Value::Null)
}

/// Schedules a cron's function if it is still due and its last execution has ended; returns whether it did.
async fn fire(ctx: &mut MutationCtx, args: Object) -> Result<Value> {
    let mut held = ctx.db.transaction()?;
    let transaction = &mut *held;
    let due = due_at(transaction, &args).await?;
    let runtime = ctx.call.runtime.clone();
    let cron = runtime
        .crons()
        .iter()
        .find(|cron| cron.name == text(&args, "name"));
    let (Some(due), Some(cron)) = (due, cron) else {
        return Ok(Value::Boolean(false));
    };
    let mut new = with_next_time(&due, &args);
    let last: Option<DocumentId> = text(&new.fields, "lastJob").parse().ok();
    let is_free = match last {
        Some(last) => jobs::is_over(transaction, last).await?,
        None => true,
    };
    if is_free {
        let now = DueTime::After(Duration::ZERO);
        let job = new_job(&runtime, cron.path.clone(), cron.args.clone(), now)?;
        new.fields.insert(
            FieldName::from_static("lastJob"),
            Value::from(job.id.to_string()),
        );
        jobs::insert(transaction, job, None).await?;
    }
    SystemTable::open(transaction, TABLE).put(Some(due), new)?;
    Ok(Value::Boolean(is_free))
}

impl Runtime {
    /// Makes the table hold the application's crons; one that is new is planned from `now_ms` on.
    ///
    /// A server does it when its scheduler starts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn declare_crons(&self, now_ms: f64) -> Result<()> {
        let declared = self.crons().iter().filter_map(|cron| {
            let next = cron.schedule.first(now_ms)?;
            Some(object([
                ("name", cron.name.as_str().into()),
                (
                    "schedule",
                    format!("{} {}", cron.schedule, cron.path).into(),
                ),
                ("nextTime", next.into()),
            ]))
        });
        let args = Object::from([("crons", Value::Array(declared.collect()))]);
        self.system_mutation(DECLARE, args).await.map(drop)
    }

    /// Fires the crons that are due; when the next one will be.
    pub(super) async fn fire_crons(&self, listed: &Value) -> Result<Option<f64>> {
        let mut next_ms: Option<f64> = None;
        for listed in listed
            .as_array()
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_object)
        {
            let Some(cron) = self
                .crons()
                .iter()
                .find(|cron| cron.name == text(listed, "name"))
            else {
                continue;
            };
            let due_ms = listed
                .get("nextTime")
                .and_then(Value::as_f64)
                .unwrap_or(f64::INFINITY);
            let now_ms = self.now_ms();
            let at_ms = if due_ms <= now_ms {
                self.fire_cron(cron, due_ms).await?
            } else if let Some(sooner_ms) = cron.schedule.replan(due_ms, now_ms) {
                self.replan_cron(cron, due_ms, sooner_ms).await?;
                Some(sooner_ms)
            } else {
                Some(due_ms)
            };
            next_ms = [next_ms, at_ms].into_iter().flatten().reduce(f64::min);
        }
        Ok(next_ms)
    }

    async fn fire_cron(&self, cron: &OpenCron, due_ms: f64) -> Result<Option<f64>> {
        let (next, skipped) = cron.schedule.next(due_ms, self.now_ms());
        // A pattern that never matches again is never due again.
        let args = times(cron, due_ms, next.unwrap_or(f64::MAX));
        let has_fired = self.system_mutation(FIRE, args).await? == Value::Boolean(true);
        let skipped = skipped + usize::from(!has_fired);
        if skipped > 0 {
            tracing::warn!(
                cron = cron.name,
                skipped,
                "runs of a cron were skipped: it was running, or the server was not"
            );
        }
        Ok(next)
    }

    async fn replan_cron(&self, cron: &OpenCron, due_ms: f64, next_ms: f64) -> Result<()> {
        let sooner_s = (due_ms - next_ms) / 1e3;
        tracing::warn!(
            cron = cron.name,
            sooner_s,
            "a cron was planned more than one period ahead, by a clock that was wrong; it is planned again"
        );
        let args = times(cron, due_ms, next_ms);
        self.system_mutation(REPLAN, args).await.map(drop)
    }
}

fn times(cron: &OpenCron, due_ms: f64, next_ms: f64) -> Object {
    Object::from([
        ("name", Value::from(cron.name.as_str())),
        ("dueTime", Value::Float64(due_ms)),
        ("nextTime", Value::Float64(next_ms)),
    ])
}
