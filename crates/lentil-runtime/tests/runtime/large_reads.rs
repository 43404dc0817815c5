use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use futures_util::poll;
use lentil::{Args, Functions, MutationCtx, Object, QueryCtx, Result};
use lentil_testing::TestBackend;
use tokio::sync::Semaphore;

use crate::fixture::*;

/// The permits for large queries within the memory that a `TestBackend` may hold for clients.
const PERMITS: usize = 2;

static STARTED: AtomicUsize = AtomicUsize::new(0);
static GATE: Semaphore = Semaphore::const_new(0);

#[derive(Args, Clone)]
struct Read {
    /// Makes the calls different, so that they do not share one result.
    caller: f64,
}

/// Reads every task, then waits at the gate.
async fn read_all(ctx: &mut QueryCtx, _args: Read) -> Result<f64> {
    STARTED.fetch_add(1, Ordering::Relaxed);
    // The function ignores the error. Its result is discarded anyway.
    let Ok(tasks) = ctx.db.query(Task::BY_NOTE).collect().await else {
        return Ok(-1.0);
    };
    GATE.acquire().await.expect("the gate is open").forget();
    Ok(tasks.len() as f64)
}

async fn add_large(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    let note = Some("x".repeat(500_000));
    for rank in 0..3 {
        let note = note.clone();
        ctx.db
            .insert(Task {
                note,
                ..task("ada", f64::from(rank))
            })
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn few_large_queries_execute_at_a_time_and_small_ones_do_not_wait() {
    let functions = Functions::in_module("large")
        .query("readAll", read_all)
        .mutation("add", add_large);
    let t = TestBackend::new(schema())
        .functions(functions)
        .functions(crate::fixture::functions());
    t.call("large:add", Object::new()).await.unwrap();

    let callers = PERMITS + 2;
    let calls = (0..callers).map(|caller| {
        let args = Object::from([("caller", caller as f64)]);
        t.call("large:readAll", args)
    });
    let mut all = std::pin::pin!(join_all(calls));
    for _ in 0..100 {
        assert!(poll!(all.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(STARTED.load(Ordering::Relaxed), callers);

    let small = t.call("tasks:list", Object::from([("owner", "bob")]));
    assert_eq!(small.await.unwrap(), Vec::<lentil::Value>::new().into());

    GATE.add_permits(callers);
    for result in all.await {
        assert_eq!(result.unwrap(), 3.0.into());
    }
    // The two that found no permit executed once more.
    assert_eq!(STARTED.load(Ordering::Relaxed), callers + 2);
}
