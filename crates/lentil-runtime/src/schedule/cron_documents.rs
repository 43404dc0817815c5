//! The table `_cron_jobs`: the time at which each cron is due next, so that crons continue after a restart.

use lentil_database::{DatabaseReader, SystemTable};
use lentil_macros::{Args, Document, ValueType};
use lentil_schema::{Doc, Document, Id};
use lentil_values::Value;

use super::calls::{self, Order};
use super::{OpenCron, ScheduledFunction};
use crate::{Functions, MutationCtx, QueryCtx, Result, Runtime};

const MAX_CRONS: usize = 1_000;

/// A cron of the application.
#[derive(Document, Clone, Debug)]
#[system]
#[table("_cron_jobs")]
#[index(by_name(name))]
pub(crate) struct CronDocument {
    name: String,
    /// The schedule and the function, to see whether they have changed.
    schedule: String,
    /// The time at which the cron is due next, in milliseconds since the Unix epoch.
    next_time: f64,
    /// The scheduled call of its last execution.
    #[rename("lastJob")]
    last_call: Option<Id<ScheduledFunction>>,
}

pub(crate) fn functions() -> Functions {
    Functions::in_module("_system/crons")
        .internal_query("list", list)
        .internal_mutation("declare", declare)
        .internal_mutation("fire", fire)
        .internal_mutation("replan", replan)
}

/// A cron and its next time.
#[derive(ValueType, Clone)]
pub(super) struct Planned {
    name: String,
    schedule: String,
    next_time: f64,
}

pub(super) async fn list(ctx: &mut QueryCtx, (): ()) -> Result<Vec<Planned>> {
    let crons = SystemTable::of(&ctx.db)?
        .scan(CronDocument::BY_NAME, MAX_CRONS)
        .await?;
    let planned = crons.into_iter().map(|cron| Planned {
        name: cron.fields.name,
        schedule: cron.fields.schedule,
        next_time: cron.fields.next_time,
    });
    Ok(planned.collect())
}

#[derive(Args)]
struct Declare {
    crons: Vec<Planned>,
}

/// Makes the table hold exactly these crons. A cron whose schedule has not changed keeps its next time.
async fn declare(ctx: &mut MutationCtx, args: Declare) -> Result<()> {
    let mut table = SystemTable::<CronDocument>::of(&ctx.db)?;
    let mut added = args.crons;
    for known in table.scan(CronDocument::BY_NAME, MAX_CRONS).await? {
        let is_known = |cron: &Planned| cron.name == known.name && cron.schedule == known.schedule;
        match added.iter().position(is_known) {
            Some(at) => drop(added.remove(at)),
            None => table.delete(&known.id).await?,
        }
    }
    for cron in added {
        table.insert(CronDocument {
            name: cron.name,
            schedule: cron.schedule,
            next_time: cron.next_time,
            last_call: None,
        })?;
    }
    Ok(())
}

#[derive(Args)]
struct Replan {
    name: String,
    /// The time at which the caller believes the cron to be due.
    due_time: f64,
    next_time: f64,
}

/// Changes the time at which a cron is due.
async fn replan(ctx: &mut MutationCtx, args: Replan) -> Result<()> {
    if let Some(due) = due_at(&ctx.db, &args.name, args.due_time).await? {
        let patch = CronDocument::patch().next_time(args.next_time);
        SystemTable::of(&ctx.db)?.patch(&due.id, patch).await?;
    }
    Ok(())
}

/// Finds a cron's document, if the cron is due at this time.
async fn due_at(db: &DatabaseReader, name: &str, due_ms: f64) -> Result<Option<Doc<CronDocument>>> {
    let mut table = SystemTable::of(db)?;
    let found = table.scan(CronDocument::BY_NAME.eq(name), 1).await?;
    Ok(found.into_iter().find(|cron| cron.next_time == due_ms))
}

#[derive(Args)]
struct Fire {
    name: String,
    /// The time at which the caller believes the cron to be due.
    due_time: f64,
    next_time: f64,
    /// The cron's function and its arguments, an object.
    function: String,
    args: Value,
}

/// Schedules a cron's function if it is due and its last execution has ended, and returns whether it did.
async fn fire(ctx: &mut MutationCtx, args: Fire) -> Result<bool> {
    let Some(due) = due_at(&ctx.db, &args.name, args.due_time).await? else {
        return Ok(false);
    };
    let is_free = match &due.last_call {
        Some(last) => calls::has_ended(&ctx.db, last).await?,
        None => true,
    };
    let mut patch = CronDocument::patch().next_time(args.next_time);
    if is_free {
        let now_ms = ctx.db.transaction()?.now_ms;
        let order = Order {
            name: args.function,
            args: args.args,
            at: now_ms,
            delayed_from: Some(now_ms),
            caller: None,
        };
        patch = patch.last_call(calls::write(ctx.db.slot(), order).await?);
    }
    SystemTable::of(&ctx.db)?.patch(&due.id, patch).await?;
    Ok(is_free)
}

impl Runtime {
    /// Makes the table hold the application's crons; new ones are planned from `now_ms` on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn declare_crons(&self, now_ms: f64) -> Result<()> {
        let mut crons = Vec::new();
        for cron in &self.engine.parts().crons {
            if let Some(next_time) = cron.schedule.first(now_ms) {
                crons.push(Planned {
                    name: cron.name.clone(),
                    schedule: format!("{} {}", cron.schedule, cron.path),
                    next_time,
                });
            }
        }
        self.system_mutation(declare, Declare { crons }).await
    }

    /// Fires the crons that are due, and returns the time at which the next one is due.
    pub(super) async fn fire_crons(&self, planned: &[Planned]) -> Result<Option<f64>> {
        let mut next_ms: Option<f64> = None;
        for Planned {
            name, next_time, ..
        } in planned
        {
            let Some(cron) = self
                .engine
                .parts()
                .crons
                .iter()
                .find(|cron| cron.name == *name)
            else {
                continue;
            };
            let (due_ms, now_ms) = (*next_time, self.now_ms());
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
        let (next, missed) = cron.schedule.next(due_ms, self.now_ms());
        let args = Fire {
            name: cron.name.clone(),
            due_time: due_ms,
            // A pattern that never matches again is never due again.
            next_time: next.unwrap_or(f64::MAX),
            function: cron.path.as_str().to_owned(),
            args: Value::Object(cron.args.clone()),
        };
        let has_fired = self.system_mutation(fire, args).await?;
        let skipped = missed + usize::from(!has_fired);
        if skipped > 0 {
            tracing::warn!(
                cron = cron.name,
                skipped,
                "executions of a cron were skipped: it was running, or the server was not"
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
        let args = Replan {
            name: cron.name.clone(),
            due_time: due_ms,
            next_time: next_ms,
        };
        self.system_mutation(replan, args).await
    }
}
