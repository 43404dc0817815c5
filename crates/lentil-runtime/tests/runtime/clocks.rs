//! Times that were stored while the clock was wrong.

use std::time::Duration;

use lentil::{Crons, Functions, MutationCtx, QueryCtx, Result};
use lentil_testing::TestBackend;
use tokio_util::sync::CancellationToken;

use crate::fixture::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

async fn tick(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    let rank = ctx.now()?;
    ctx.db.insert(task("cron", rank)).await.map(drop)
}

fn ticking(crons: Crons) -> TestBackend {
    let functions = Functions::in_module("cron").internal_mutation("tick", tick);
    backend().functions(functions).crons(crons)
}

fn ada() -> Add {
    Add {
        owner: "ada".into(),
        rank: 1.0,
    }
}

async fn count(t: &TestBackend) -> usize {
    t.documents::<Task>().await.unwrap().len()
}

#[tokio::test]
async fn cron_planned_by_a_clock_ahead_runs_within_one_period() {
    let every = Crons::new().interval("tick", 10 * MINUTE, tick, ());
    let hourly = Crons::new().cron("tick", "30 * * * *", "UTC", tick, ());
    for (crons, period) in [(every, 10 * MINUTE), (hourly, HOUR)] {
        let t = ticking(crons);
        let right_ms = t.runtime().await.now_ms();
        t.run_due().await.unwrap();
        t.advance(20 * HOUR);
        t.run_due().await.unwrap();
        let before = count(&t).await;
        t.clock().set_ms(right_ms);
        assert_eq!(t.run_due().await.unwrap(), 0, "it does not run at once");
        t.advance(period);
        assert_eq!(t.run_due().await.unwrap(), 1);
        assert_eq!(count(&t).await, before + 1);
    }
}

#[tokio::test]
async fn cron_keeps_its_time_after_a_small_clock_step() {
    let t = ticking(Crons::new().interval("tick", 10 * MINUTE, tick, ()));
    let right_ms = t.runtime().await.now_ms();
    assert_eq!(t.run_due().await.unwrap(), 1);
    t.clock().set_ms(right_ms - 1_000.0);
    assert_eq!(
        t.run_due().await.unwrap(),
        0,
        "a clock set back by a second runs nothing again"
    );
    t.clock().set_ms(right_ms);
    t.advance(10 * MINUTE);
    assert_eq!(t.run_due().await.unwrap(), 1);
}

#[tokio::test]
async fn delay_that_began_in_the_future_restarts() {
    let t = backend();
    let right_ms = t.runtime().await.now_ms();
    t.advance(48 * HOUR);
    t.mutation(async |ctx| ctx.scheduler.run_after(MINUTE, add, ada()).await)
        .await
        .unwrap();
    t.clock().set_ms(right_ms);
    assert_eq!(t.run_due().await.unwrap(), 0);
    t.advance(MINUTE);
    assert_eq!(t.run_due().await.unwrap(), 1);
}

#[tokio::test]
async fn function_scheduled_for_a_time_waits_for_that_time() {
    let t = backend();
    let right_ms = t.runtime().await.now_ms();
    let at_ms = right_ms + 49.0 * HOUR.as_secs_f64() * 1e3;
    t.advance(48 * HOUR);
    t.mutation(async |ctx| ctx.scheduler.run_at(at_ms, add, ada()).await)
        .await
        .unwrap();
    t.clock().set_ms(right_ms);
    t.advance(48 * HOUR);
    assert_eq!(t.run_due().await.unwrap(), 0);
    t.advance(HOUR);
    assert_eq!(t.run_due().await.unwrap(), 1);
}

/// Waits until the scheduler has looked at the clock again.
async fn poll_clock() {
    tokio::time::sleep(MINUTE + Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn scheduler_notices_a_corrected_clock() {
    for starts_first in [true, false] {
        let t = backend();
        let runtime = t.runtime().await.clone();
        let right_ms = runtime.now_ms();
        t.advance(48 * HOUR);
        t.mutation(async |ctx| ctx.scheduler.run_after(MINUTE, add, ada()).await)
            .await
            .unwrap();
        if !starts_first {
            t.clock().set_ms(right_ms);
        }
        let waiting = async {
            poll_clock().await;
            t.clock().set_ms(right_ms);
            poll_clock().await;
            t.advance(MINUTE);
            poll_clock().await;
        };
        tokio::select! {
            () = runtime.run_modules(CancellationToken::new()) => {}
            () = waiting => {}
        }
        assert_eq!(
            count(&t).await,
            1,
            "the scheduler starts first: {starts_first}"
        );
    }
}

#[tokio::test]
async fn cached_result_from_a_later_time_is_not_reused() {
    async fn now(ctx: &mut QueryCtx, (): ()) -> Result<f64> {
        ctx.now()
    }
    let t = backend().functions(Functions::in_module("time").query("now", now));
    let ask = async || t.call("time:now", lentil::Object::new()).await.unwrap();
    let right = ask().await;
    let right_ms = t.runtime().await.now_ms();
    t.advance(48 * HOUR);
    assert_ne!(ask().await, right);
    t.clock().set_ms(right_ms);
    assert_eq!(ask().await, right);
}
