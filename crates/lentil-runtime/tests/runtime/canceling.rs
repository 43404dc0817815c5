//! Scheduled functions that are canceled while they run.

use std::time::Duration;

use lentil::{
    ActionCtx, Doc, Document, Error, Functions, Id, MutationCtx, Result, ScheduledFunction,
    ScheduledState,
};
use lentil_testing::TestBackend;

use crate::fixture::*;

type CallId = Id<ScheduledFunction>;

/// Returns the id of the scheduled function that runs.
fn own_id(meta: &lentil::Meta) -> Result<CallId> {
    let own = meta.request().scheduled_function_id;
    own.ok_or_else(|| Error::msg("it is not a scheduled function"))
}

fn ada(rank: f64) -> Add {
    Add {
        owner: "ada".into(),
        rank,
    }
}

async fn schedule(ctx: &mut MutationCtx, args: Add) -> Result<()> {
    ctx.scheduler
        .run_after(Duration::ZERO, add, args)
        .await
        .map(drop)
}

async fn schedule_nested(ctx: &mut MutationCtx, args: Add) -> Result<()> {
    ctx.run_mutation(schedule, args).await
}

async fn schedule_in_action(ctx: &ActionCtx, args: Add) -> Result<()> {
    ctx.scheduler
        .run_after(Duration::ZERO, add, ada(args.rank))
        .await?;
    ctx.run_mutation(schedule_nested, ada(args.rank + 1.0))
        .await
}

/// Schedules a function, cancels itself, and schedules more functions in each possible way.
async fn canceled_action(ctx: &ActionCtx, (): ()) -> Result<()> {
    ctx.scheduler
        .run_after(Duration::ZERO, add, ada(1.0))
        .await?;
    ctx.scheduler.cancel(&own_id(&ctx.meta)?).await?;
    ctx.scheduler
        .run_after(Duration::ZERO, add, ada(2.0))
        .await?;
    ctx.run_mutation(schedule, ada(3.0)).await?;
    ctx.run_mutation(schedule_nested, ada(4.0)).await?;
    ctx.run_action(schedule_in_action, ada(5.0)).await
}

/// Schedules a function, cancels the action that calls it, and schedules another function.
async fn cancel_between(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    ctx.run_mutation(schedule, ada(1.0)).await?;
    ctx.scheduler.cancel(&own_id(&ctx.meta)?).await?;
    ctx.run_mutation(schedule, ada(2.0)).await
}

async fn canceled_by_its_mutation(ctx: &ActionCtx, (): ()) -> Result<()> {
    ctx.run_mutation(cancel_between, ()).await
}

/// Sleeps, then schedules a function.
async fn sleeps(ctx: &ActionCtx, (): ()) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    ctx.scheduler
        .run_after(Duration::ZERO, add, ada(1.0))
        .await
        .map(drop)
}

async fn cancel_own(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    ctx.scheduler.cancel(&own_id(&ctx.meta)?).await
}

async fn cancels_itself(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    add(ctx, ada(1.0)).await?;
    cancel_own(ctx, ()).await
}

async fn cancels_itself_through_a_nested_mutation(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    add(ctx, ada(1.0)).await?;
    ctx.run_mutation(cancel_own, ()).await
}

async fn cancels_itself_and_handles_every_error(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    let _ = ctx.run_mutation(cancel_own, ()).await;
    let _ = cancel_own(ctx, ()).await;
    add(ctx, ada(1.0)).await
}

async fn cancel_own_and_fail(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    cancel_own(ctx, ()).await?;
    Err(Error::msg("it is rolled back"))
}

async fn cancels_itself_in_a_mutation_that_is_undone(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    let _ = ctx.run_mutation(cancel_own_and_fail, ()).await;
    add(ctx, ada(1.0)).await
}

fn canceling() -> TestBackend {
    backend().functions(
        Functions::in_module("canceling")
            .mutation("schedule", schedule)
            .mutation("scheduleNested", schedule_nested)
            .action("scheduleInAction", schedule_in_action)
            .action("canceledAction", canceled_action)
            .mutation("cancelBetween", cancel_between)
            .action("canceledByItsMutation", canceled_by_its_mutation)
            .action("sleeps", sleeps)
            .mutation("cancelOwn", cancel_own)
            .mutation("cancelsItself", cancels_itself)
            .mutation("cancelsNested", cancels_itself_through_a_nested_mutation)
            .mutation("cancelsQuietly", cancels_itself_and_handles_every_error)
            .mutation("cancelOwnAndFail", cancel_own_and_fail)
            .mutation("cancelsUndone", cancels_itself_in_a_mutation_that_is_undone),
    )
}

async fn calls(t: &TestBackend) -> Vec<Doc<ScheduledFunction>> {
    t.query(async |ctx| {
        let all = ScheduledFunction::all();
        ctx.db.system.query(all).collect().await
    })
    .await
    .unwrap()
}

async fn ranks_of(t: &TestBackend) -> Vec<f64> {
    ranks(&t.documents::<Task>().await.unwrap())
}

#[tokio::test]
async fn functions_scheduled_by_a_canceled_action_do_not_run() {
    for t in [canceling(), canceling().on_sqlite()] {
        t.mutation(async |ctx| {
            ctx.scheduler
                .run_after(Duration::ZERO, canceled_action, ())
                .await
        })
        .await
        .unwrap();
        t.run_due().await.unwrap();
        assert_eq!(ranks_of(&t).await, [1.0], "it was scheduled before");
        let calls = calls(&t).await;
        assert_eq!(calls.len(), 7);
        for call in &calls[2..] {
            assert_eq!(call.state, ScheduledState::Canceled);
            assert!(call.completed_time.is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn functions_scheduled_after_a_cancellation_do_not_run() {
    let t = canceling();
    let id = t
        .mutation(async |ctx| ctx.scheduler.run_after(Duration::ZERO, sleeps, ()).await)
        .await
        .unwrap();
    let canceling = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        t.mutation(async |ctx| ctx.scheduler.cancel(&id).await)
            .await
    };
    let (ran, canceled) = tokio::join!(t.run_due(), canceling);
    canceled.unwrap();
    assert_eq!(ran.unwrap(), 1);
    assert!(ranks_of(&t).await.is_empty());
    let states: Vec<_> = calls(&t)
        .await
        .into_iter()
        .map(|call| call.state.clone())
        .collect();
    assert_eq!(states, [ScheduledState::Canceled, ScheduledState::Canceled]);
}

#[tokio::test]
async fn mutation_that_cancels_its_calling_action_schedules_nothing_more() {
    let t = canceling();
    t.mutation(async |ctx| {
        ctx.scheduler
            .run_after(Duration::ZERO, canceled_by_its_mutation, ())
            .await
    })
    .await
    .unwrap();
    t.run_due().await.unwrap();
    assert_eq!(ranks_of(&t).await, [1.0]);
}

#[tokio::test]
async fn scheduled_mutation_that_cancels_itself_fails() {
    for name in ["cancelsItself", "cancelsNested", "cancelsQuietly"] {
        let t = canceling();
        t.mutation(async |ctx| {
            let (scheduler, now) = (&ctx.scheduler, Duration::ZERO);
            match name {
                "cancelsItself" => scheduler.run_after(now, cancels_itself, ()).await,
                "cancelsNested" => {
                    let function = cancels_itself_through_a_nested_mutation;
                    scheduler.run_after(now, function, ()).await
                }
                _ => {
                    let function = cancels_itself_and_handles_every_error;
                    scheduler.run_after(now, function, ()).await
                }
            }
        })
        .await
        .unwrap();
        t.run_due().await.unwrap();
        assert!(ranks_of(&t).await.is_empty(), "{name} wrote something");
        let state = &calls(&t).await[0].state;
        let ScheduledState::Failed { error } = state else {
            panic!("{name} is {state:?}");
        };
        assert!(error.contains("cannot cancel itself"), "{error}");
    }
}

#[tokio::test]
async fn rolled_back_cancellation_does_not_fail_the_mutation() {
    let t = canceling();
    t.mutation(async |ctx| {
        ctx.scheduler
            .run_after(
                Duration::ZERO,
                cancels_itself_in_a_mutation_that_is_undone,
                (),
            )
            .await
    })
    .await
    .unwrap();
    t.run_due().await.unwrap();
    assert_eq!(ranks_of(&t).await, [1.0]);
    assert_eq!(calls(&t).await[0].state, ScheduledState::Success);
}
