use std::sync::Arc;
use std::time::Duration;

use lentil::{
    ActionCtx, Args, Code, Crons, Doc, Document, Error, Functions, Id, MutationCtx, Object, Result,
    ScheduledFunction, ScheduledState, ValueType,
};
use lentil_runtime::{Identity, OpenError, Runtime, RuntimeOptions};
use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_system::{System, scheduler};
use lentil_testing::TestBackend;
use tokio_util::sync::CancellationToken;

use crate::fixture::*;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

#[derive(Args, Clone)]
struct Later {
    owner: String,
    rank: f64,
    fails: bool,
}

/// Schedules the addition of a task in a minute, and fails if the arguments say so.
async fn add_later(ctx: &mut MutationCtx, args: Later) -> Result<String> {
    let id = ctx
        .scheduler
        .run_after(
            MINUTE,
            add,
            Add {
                owner: args.owner,
                rank: args.rank,
            },
        )
        .await?;
    if args.fails {
        Err(Error::msg("it fails after it has scheduled"))
    } else {
        Ok(id.to_string())
    }
}

/// Schedules through a nested mutation that fails, and handles the error.
async fn add_through(ctx: &mut MutationCtx, args: Later) -> Result<()> {
    let nested = ctx
        .run_mutation(
            add_later,
            Later {
                fails: true,
                ..args.clone()
            },
        )
        .await;
    assert!(nested.is_err());
    ctx.run_mutation(
        add_later,
        Later {
            fails: false,
            ..args
        },
    )
    .await
    .map(drop)
}

#[derive(Args, Clone)]
struct OneCall {
    id: Id<ScheduledFunction>,
}

async fn cancel(ctx: &mut MutationCtx, args: OneCall) -> Result<()> {
    ctx.scheduler.cancel(&args.id).await
}

async fn act(ctx: &ActionCtx, args: Add) -> Result<()> {
    ctx.scheduler.run_after(Duration::ZERO, add, args).await?;
    Err(Error::msg("the function scheduled before this error runs"))
}

async fn act_later(ctx: &mut MutationCtx, args: Add) -> Result<()> {
    ctx.scheduler.run_after(MINUTE, act, args).await.map(drop)
}

async fn far(ctx: &mut MutationCtx, args: Add) -> Result<()> {
    ctx.scheduler.run_at(f64::MAX, add, args).await.map(drop)
}

pub(crate) async fn stray(_ctx: &mut MutationCtx, (): ()) -> Result<()> {
    Ok(())
}

async fn too_many(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    for rank in 0..1_001 {
        ctx.scheduler
            .run_after(
                MINUTE,
                add,
                Add {
                    owner: "ada".into(),
                    rank: f64::from(rank),
                },
            )
            .await?;
    }
    Ok(())
}

pub(crate) fn scheduling() -> TestBackend {
    backend().functions(all())
}

fn all() -> Functions {
    Functions::in_module("later")
        .mutation("add", add_later)
        .mutation("through", add_through)
        .mutation("cancel", cancel)
        .internal_action("act", act)
        .mutation("actLater", act_later)
        .mutation("far", far)
        .mutation("tooMany", too_many)
}

fn later(rank: f64, fails: bool) -> Object {
    Later {
        owner: "ada".into(),
        rank,
        fails,
    }
    .into_object()
}

async fn ranks_of(t: &TestBackend) -> Vec<f64> {
    ranks(&t.documents::<Task>().await.unwrap())
}

async fn prune_calls(t: &TestBackend) -> Result<usize> {
    let runtime = t.runtime().await;
    scheduler::prune(runtime, runtime.now_ms()).await
}

/// The state of each scheduled function, the oldest first.
async fn states(t: &TestBackend) -> Vec<String> {
    let scheduled = t
        .query(async |ctx| {
            ctx.db
                .system
                .query(ScheduledFunction::all())
                .collect()
                .await
        })
        .await
        .unwrap();
    let kind = |call: Doc<ScheduledFunction>| {
        call.state
            .clone()
            .into_value()
            .as_object()?
            .get("kind")?
            .as_str()
            .map(str::to_owned)
    };
    scheduled.into_iter().filter_map(kind).collect()
}

#[tokio::test]
async fn scheduled_mutation_runs_once_when_it_is_due() {
    for t in [scheduling(), scheduling().on_sqlite()] {
        t.call("later:add", later(1.0, false)).await.unwrap();
        assert_eq!(t.run_due().await.unwrap(), 0);
        t.advance(MINUTE);
        assert_eq!(t.run_due().await.unwrap(), 1);
        assert_eq!(t.run_due().await.unwrap(), 0);
        assert_eq!(ranks_of(&t).await, [1.0]);
        assert_eq!(states(&t).await, ["success"]);
    }
}

#[tokio::test]
async fn failed_mutation_schedules_nothing() {
    let t = scheduling();
    assert!(t.call("later:add", later(1.0, true)).await.is_err());
    t.call("later:through", later(2.0, false)).await.unwrap();
    t.advance(MINUTE);
    assert_eq!(t.run_due().await.unwrap(), 1);
    assert_eq!(ranks_of(&t).await, [2.0]);
}

#[tokio::test]
async fn mutation_reads_the_document_of_the_function_that_it_schedules() {
    let t = scheduling();
    let seen = t.mutation(async |ctx| {
        let id = ctx
            .scheduler
            .run_after(
                MINUTE,
                add,
                Add {
                    owner: "ada".into(),
                    rank: 1.0,
                },
            )
            .await?;
        let seen = ctx.db.system.get(&id).await?;
        ctx.scheduler.cancel(&id).await?;
        Ok((seen, ctx.db.system.get(&id).await?))
    });
    let (pending, canceled) = seen.await.unwrap();
    let (pending, canceled) = (pending.unwrap(), canceled.unwrap());
    assert_eq!(
        (&pending.state, pending.completed_time),
        (&ScheduledState::Pending, None)
    );
    assert_eq!(
        pending.args,
        [Add {
            owner: "ada".into(),
            rank: 1.0
        }
        .into_object()
        .into()]
    );
    assert_eq!(
        (&canceled.state, canceled.completed_time.is_some()),
        (&ScheduledState::Canceled, true)
    );
}

#[tokio::test]
async fn canceled_function_does_not_run() {
    let t = scheduling();
    let id = t.call("later:add", later(1.0, false)).await.unwrap();
    let id = Object::from([("id", id.as_str().unwrap())]);
    t.call("later:cancel", id.clone()).await.unwrap();
    t.advance(MINUTE);
    assert_eq!(t.run_due().await.unwrap(), 0);
    t.call("later:cancel", id).await.unwrap();
    assert_eq!(states(&t).await, ["canceled"]);
}

#[tokio::test]
async fn failed_action_is_recorded_and_the_functions_that_it_scheduled_run() {
    let t = scheduling();
    t.call(
        "later:actLater",
        Add {
            owner: "ada".into(),
            rank: 7.0,
        }
        .into_object(),
    )
    .await
    .unwrap();
    t.advance(MINUTE);
    assert_eq!(t.run_due().await.unwrap(), 2);
    assert_eq!(ranks_of(&t).await, [7.0]);
    assert_eq!(states(&t).await, ["failed", "success"]);
}

#[tokio::test]
async fn failed_scheduled_mutation_is_recorded_and_writes_nothing() {
    async fn fail_later(ctx: &mut MutationCtx, args: Add) -> Result<()> {
        ctx.scheduler
            .run_after(Duration::ZERO, fail, args)
            .await
            .map(drop)
    }
    let t = scheduling().functions(Functions::in_module("more").mutation("failLater", fail_later));
    t.call(
        "more:failLater",
        Add {
            owner: "ada".into(),
            rank: 1.0,
        }
        .into_object(),
    )
    .await
    .unwrap();
    assert_eq!(t.run_due().await.unwrap(), 1);
    assert!(ranks_of(&t).await.is_empty());
    assert_eq!(states(&t).await, ["failed"]);
    t.advance(Duration::from_secs(8 * 24 * 60 * 60));
    assert_eq!(prune_calls(&t).await.unwrap(), 1);
    assert!(states(&t).await.is_empty());
}

#[tokio::test]
async fn invalid_times_and_too_many_calls_are_rejected() {
    async fn unregistered(ctx: &mut MutationCtx, (): ()) -> Result<()> {
        ctx.scheduler.run_after(MINUTE, stray, ()).await.map(drop)
    }
    let t =
        scheduling().functions(Functions::in_module("more").mutation("unregistered", unregistered));
    let code = async |path: &str, args: Object| t.call(path, args).await.unwrap_err().code();
    assert_eq!(
        code(
            "later:far",
            Add {
                owner: "ada".into(),
                rank: 1.0
            }
            .into_object()
        )
        .await,
        Code::InvalidSchedule
    );
    assert_eq!(
        code("later:tooMany", Object::new()).await,
        Code::LimitExceeded
    );
    assert_eq!(
        code("more:unregistered", Object::new()).await,
        Code::FunctionNotFound
    );
    assert!(states(&t).await.is_empty());
}

#[tokio::test]
async fn many_scheduled_functions_with_large_arguments_run() {
    let t = scheduling();
    let schedule = async |count: usize, size: usize| {
        let owner = "x".repeat(size);
        t.mutation(async |ctx| {
            for rank in 0..count {
                let args = Add {
                    owner: owner.clone(),
                    rank: rank as f64,
                };
                ctx.scheduler.run_after(Duration::ZERO, act, args).await?;
            }
            Ok(())
        })
        .await
    };
    schedule(40, 1 << 20).await.unwrap();
    let too_large = schedule(1, 4 << 20).await.unwrap_err();
    assert_eq!(too_large.code(), Code::ValueTooLarge);
    // Each schedules a task whose document is too large, and fails itself.
    assert_eq!(t.run_due().await.unwrap(), 80);
    t.advance(Duration::from_secs(8 * 24 * 60 * 60));
    assert_eq!(prune_calls(&t).await.unwrap(), 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn scheduler_runs_due_functions_also_those_of_an_earlier_start() {
    let folder = tempfile::tempdir().unwrap();
    let start = async || {
        let store = Arc::new(SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap());
        let application = lentil::Application::new(schema()).functions(functions().with(all()));
        let system = System::new(&application, Crons::new()).unwrap();
        let options = RuntimeOptions::default();
        Runtime::open(application, system.modules(), store, options).await
    };
    let count = async |runtime: &Runtime| {
        let count = runtime.with_query(Identity::Anonymous, async |ctx| {
            ctx.db.query(Task::all()).count().await
        });
        count.await.unwrap()
    };
    let schedule = async |runtime: &Runtime, at_ms: f64| {
        let scheduled = runtime.with_mutation(Identity::Anonymous, None, async |ctx| {
            ctx.scheduler
                .run_at(
                    at_ms,
                    add,
                    Add {
                        owner: "ada".into(),
                        rank: at_ms,
                    },
                )
                .await
        });
        scheduled.await.unwrap()
    };
    let runtime: Result<Runtime, OpenError> = start().await;
    let runtime = runtime.unwrap();
    schedule(&runtime, runtime.now_ms()).await;
    runtime.close().await.unwrap();
    drop(runtime);

    let runtime = start().await.unwrap();
    let stop = CancellationToken::new();
    let (running, stopped) = (runtime.clone(), stop.clone());
    let modules = tokio::spawn(async move { running.run_modules(stopped).await });
    for at_once in 0..20 {
        schedule(&runtime, runtime.now_ms() + f64::from(at_once)).await;
    }
    let all_ran = async {
        while count(&runtime).await < 21 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all_ran)
        .await
        .expect("all of them run");
    stop.cancel();
    modules.await.unwrap();
    assert_eq!(count(&runtime).await, 21, "none runs twice");
}
