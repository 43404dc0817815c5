//! `counters`: named integers.

use std::time::Duration;

use lentil::{
    ActionCtx, Args, Document, Error, Functions, MutationCtx, Nullable, QueryCtx, Result,
};

/// An integer with a name.
#[derive(Document, Clone)]
#[table("counters")]
#[index(by_name(name))]
pub(crate) struct Counter {
    name: String,
    value: i64,
}

impl Counter {
    /// Makes a counter at 0.
    pub(crate) fn new(name: &str) -> Counter {
        Counter {
            name: name.to_owned(),
            value: 0,
        }
    }
}

#[derive(Args)]
struct Add {
    name: String,
    by: i64,
}

#[derive(Args)]
struct Named {
    name: String,
}

#[derive(Args)]
struct Slow {
    ms: f64,
}

/// Adds to a counter, which begins at 0, and returns its new value.
async fn add(ctx: &mut MutationCtx, args: Add) -> Result<i64> {
    let counter = ctx
        .db
        .query(Counter::BY_NAME.eq(&args.name))
        .unique()
        .await?;
    let value = counter.as_ref().map_or(0, |counter| counter.value) + args.by;
    match counter {
        Some(counter) => {
            ctx.db
                .patch(&counter.id, Counter::patch().value(value))
                .await?
        }
        None => drop(
            ctx.db
                .insert(Counter {
                    name: args.name,
                    value,
                })
                .await?,
        ),
    }
    Ok(value)
}

async fn get(ctx: &mut QueryCtx, args: Named) -> Result<Nullable<i64>> {
    Ok(ctx
        .db
        .query(Counter::BY_NAME.eq(args.name))
        .unique()
        .await?
        .map(|counter| counter.value)
        .into())
}

/// As [`get`], but fails while the counter is below 0.
async fn not_negative(ctx: &mut QueryCtx, args: Named) -> Result<i64> {
    let value = get(ctx, args).await?.into_option().unwrap_or(0);
    if value < 0 {
        Err(Error::application(value))
    } else {
        Ok(value)
    }
}

/// Adds 1 twice, in two transactions, and returns the value after the second.
async fn add_twice(ctx: &ActionCtx, args: Named) -> Result<i64> {
    ctx.log.warn("'adding twice'");
    ctx.run_mutation(
        add,
        Add {
            name: args.name.clone(),
            by: 1,
        },
    )
    .await?;
    ctx.run_mutation(
        add,
        Add {
            name: args.name,
            by: 1,
        },
    )
    .await
}

#[derive(Args)]
struct AddLater {
    name: String,
    by: i64,
    ms: f64,
}

/// Schedules an addition.
async fn add_later(ctx: &mut MutationCtx, args: AddLater) -> Result<()> {
    let delay = Duration::from_secs_f64(args.ms / 1000.0);
    ctx.scheduler
        .run_after(
            delay,
            add,
            Add {
                name: args.name,
                by: args.by,
            },
        )
        .await
        .map(drop)
}

/// Schedules an action that adds 1 twice.
async fn add_twice_later(ctx: &mut MutationCtx, args: AddLater) -> Result<()> {
    let delay = Duration::from_secs_f64(args.ms / 1000.0);
    ctx.scheduler
        .run_after(delay, add_twice, Named { name: args.name })
        .await
        .map(drop)
}

/// Sleeps for some time and returns its length.
async fn slow(_: &ActionCtx, args: Slow) -> Result<f64> {
    tokio::time::sleep(Duration::from_secs_f64(args.ms / 1000.0)).await;
    Ok(args.ms)
}

pub(crate) fn functions() -> Functions {
    Functions::in_module("counters")
        .mutation("add", add)
        .query("get", get)
        .query("notNegative", not_negative)
        .action("addTwice", add_twice)
        .mutation("addLater", add_later)
        .mutation("addTwiceLater", add_twice_later)
        .action("slow", slow)
}
