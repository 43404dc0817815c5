//! The table `_cron_jobs`: the time at which each cron is due next, so that crons continue after a
//! restart.
//!
//! A cron that is due is fired: its function is scheduled, and runs as every scheduled function
//! does. A time in the table that is more than one period from now was written by a wrong clock,
//! and the cron is replanned.

use async_trait::async_trait;
use lentil_database::{DatabaseReader, SystemTable};
use lentil_macros::{Args, Document, ValueType};
use lentil_runtime::{
    FunctionPath, Functions, MutationCtx, QueryCtx, Result, Runtime, ScheduledCall,
    ScheduledFunction, ScheduledState, SystemModule,
};
use lentil_schema::{Doc, Document as _, Id, Table};
use lentil_values::{Object, Value};
use tokio_util::sync::CancellationToken;

use crate::background::{START_BACKOFF, time_until};
use crate::cron_schedule::CronSchedule;
use crate::live_query::LiveQuery;

const MAX_CRONS: usize = 1_000;

/// A cron of the application.
#[derive(Clone, Debug)]
pub(crate) struct Cron {
    pub(crate) name: String,
    pub(crate) schedule: CronSchedule,
    pub(crate) path: FunctionPath,
    pub(crate) args: Object,
}

/// The crons of the application.
pub(crate) struct OpenCrons(pub(crate) Vec<Cron>);

/// The document of a cron.
#[derive(Document, Clone, Debug)]
#[system]
#[table("_cron_jobs")]
#[index(by_name(name))]
struct CronDocument {
    name: String,
    /// The schedule and the function, to detect that they have changed.
    schedule: String,
    /// The time at which the cron is due next, in milliseconds since the Unix epoch.
    next_time: f64,
    /// The scheduled call of its last execution.
    #[rename("lastJob")]
    last_call: Option<Id<ScheduledFunction>>,
}

#[async_trait]
impl SystemModule for OpenCrons {
    fn tables(&self) -> Vec<Table> {
        vec![CronDocument::table()]
    }

    fn functions(&self) -> Functions {
        Functions::in_module("_system/crons")
            .internal_query("list", list)
            .internal_mutation("declare", declare)
            .internal_mutation("fire", fire)
            .internal_mutation("replan", replan)
    }

    async fn run(&self, runtime: &Runtime, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.run_forever(runtime) => {}
        }
    }
}

impl OpenCrons {
    async fn run_forever(&self, runtime: &Runtime) {
        let mut backoff = START_BACKOFF;
        while let Err(error) = self.declare(runtime, runtime.now_ms()).await {
            tracing::error!(%error, "failed to declare the crons");
            tokio::time::sleep(backoff.next_pause()).await;
        }

        let mut query = LiveQuery::new(runtime, "_system/crons:list", Object::new());
        let mut planned: Vec<Planned> = Vec::new();
        loop {
            match query.refresh().await {
                Some(Ok(crons)) => planned = crons,
                Some(Err(error)) => tracing::error!(%error, "failed to read the crons"),
                None => {}
            }
            let next_ms = self.fire_planned(runtime, &planned).await;
            let next_ms = next_ms.unwrap_or_else(|error| {
                tracing::error!(%error, "failed to fire crons");
                None
            });
            tokio::select! {
                () = query.changed() => {}
                () = tokio::time::sleep(time_until(next_ms, runtime.now_ms())) => {}
            }
        }
    }

    /// Makes the table hold these crons; new ones are planned from `now_ms` on.
    pub(crate) async fn declare(&self, runtime: &Runtime, now_ms: f64) -> Result<()> {
        let mut crons = Vec::new();
        for cron in &self.0 {
            if let Some(next_time) = cron.schedule.first(now_ms) {
                crons.push(Planned {
                    name: cron.name.clone(),
                    schedule: format!("{} {}", cron.schedule, cron.path),
                    next_time,
                });
            }
        }
        runtime.system_mutation(declare, Declare { crons }).await
    }

    /// Fires the crons that are due.
    pub(crate) async fn fire_due(&self, runtime: &Runtime) -> Result<()> {
        let planned = runtime.system_query(list, ()).await?;
        self.fire_planned(runtime, &planned).await?;
        Ok(())
    }

    /// Fires those of these crons that are due, and returns the time at which the next one is due.
    async fn fire_planned(&self, runtime: &Runtime, planned: &[Planned]) -> Result<Option<f64>> {
        let mut next_ms: Option<f64> = None;
        for planned in planned {
            let Some(cron) = self.0.iter().find(|cron| cron.name == planned.name) else {
                continue;
            };
            let due_ms = planned.next_time;
            let now_ms = runtime.now_ms();
            let at_ms = if due_ms <= now_ms {
                cron.fire(runtime, due_ms).await?
            } else if let Some(sooner_ms) = cron.schedule.replan(due_ms, now_ms) {
                cron.replan(runtime, due_ms, sooner_ms).await?;
                Some(sooner_ms)
            } else {
                Some(due_ms)
            };
            next_ms = [next_ms, at_ms].into_iter().flatten().reduce(f64::min);
        }
        Ok(next_ms)
    }
}

impl Cron {
    /// Fires the cron, and returns the time at which it is due next.
    async fn fire(&self, runtime: &Runtime, due_ms: f64) -> Result<Option<f64>> {
        let (next, missed) = self.schedule.next(due_ms, runtime.now_ms());
        let args = Fire {
            name: self.name.clone(),
            due_time: due_ms,
            // A pattern that never matches again is never due again.
            next_time: next.unwrap_or(f64::MAX),
            function: self.path.to_js(),
            args: Value::Object(self.args.clone()),
        };
        let has_fired = runtime.system_mutation(fire, args).await?;
        let skipped = missed + usize::from(!has_fired);
        if skipped > 0 {
            tracing::warn!(
                cron = self.name,
                skipped,
                "executions of a cron were skipped: it was running, or the server was not"
            );
        }
        Ok(next)
    }

    async fn replan(&self, runtime: &Runtime, due_ms: f64, next_ms: f64) -> Result<()> {
        let sooner_s = (due_ms - next_ms) / 1e3;
        tracing::warn!(
            cron = self.name,
            sooner_s,
            "a cron was planned more than one period ahead, by a clock that was wrong; it is planned again"
        );
        let args = Replan {
            name: self.name.clone(),
            due_time: due_ms,
            next_time: next_ms,
        };
        runtime.system_mutation(replan, args).await
    }
}

/// A cron and its next time.
#[derive(ValueType)]
struct Planned {
    name: String,
    schedule: String,
    next_time: f64,
}

async fn list(ctx: &mut QueryCtx, (): ()) -> Result<Vec<Planned>> {
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

/// Makes the table hold exactly these crons. A cron whose schedule has not changed keeps its next
/// time.
async fn declare(ctx: &mut MutationCtx, args: Declare) -> Result<()> {
    let mut table = SystemTable::<CronDocument>::of(&ctx.db)?;
    let mut added = args.crons;
    for known in table.scan(CronDocument::BY_NAME, MAX_CRONS).await? {
        let is_known = |cron: &Planned| cron.name == known.name && cron.schedule == known.schedule;
        match added.iter().position(is_known) {
            Some(at) => {
                added.remove(at);
            }
            // A cron whose schedule has changed is a new one, and is planned from now on.
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
    /// The cron's function, as the document of a scheduled call names it.
    function: String,
    /// Its arguments, an object.
    args: Value,
}

/// Schedules a cron's function if it is due and its last execution has ended, and returns whether
/// it did.
async fn fire(ctx: &mut MutationCtx, args: Fire) -> Result<bool> {
    // The caller read the table in another transaction, and the cron may have fired since.
    let Some(due) = due_at(&ctx.db, &args.name, args.due_time).await? else {
        return Ok(false);
    };
    let mut patch = CronDocument::patch().next_time(args.next_time);
    let is_free = has_ended(&ctx.db, due.last_call).await?;
    if is_free {
        let mut calls = SystemTable::<ScheduledCall>::of(&ctx.db)?;
        let now_ms = calls.now_ms();
        let call = calls.insert(ScheduledCall {
            name: args.function,
            args: vec![args.args],
            scheduled_time: now_ms,
            completed_time: None,
            state: ScheduledState::Pending,
            delayed_from: Some(now_ms),
        })?;
        patch = patch.last_call(Id::new(call.document_id()));
    }
    // A skipped execution changes the next time too. Otherwise the cron would stay due.
    SystemTable::of(&ctx.db)?.patch(&due.id, patch).await?;
    Ok(is_free)
}

/// Returns whether a cron's last call has ended.
async fn has_ended(db: &DatabaseReader, last: Option<Id<ScheduledFunction>>) -> Result<bool> {
    let Some(last) = last else {
        return Ok(true);
    };
    let mut calls = SystemTable::<ScheduledCall>::of(db)?;
    let found = calls.get_uncounted(last.document_id()).await?;
    // A call that does not exist any more has ended: documents of ended calls are deleted.
    Ok(found.is_none_or(|call| !call.state.is_open()))
}
