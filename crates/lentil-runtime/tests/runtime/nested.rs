use lentil::{Args, Code, Document, Error, Functions, MutationCtx, QueryCtx, Result};
use lentil_testing::TestBackend;

use crate::fixture::*;

fn adding(rank: f64) -> Add {
    Add {
        owner: "ada".into(),
        rank,
    }
}

async fn stored(t: &TestBackend) -> Vec<f64> {
    ranks(&t.documents::<Task>().await.unwrap())
}

#[tokio::test]
async fn a_failed_nested_mutation_undoes_only_its_writes() {
    for t in backends() {
        t.mutation(async |ctx| {
            ctx.run_mutation(add, adding(1.0)).await?;
            let failed = ctx.run_mutation(fail, adding(2.0)).await;
            assert_eq!(failed.unwrap_err().message(), "after all, no");
            let seen = ctx
                .run_query(
                    list,
                    List {
                        owner: "ada".into(),
                    },
                )
                .await?;
            assert_eq!(
                ranks(&seen),
                [1.0],
                "a nested query reads the writes that were not undone"
            );
            ctx.run_mutation(add, adding(3.0)).await
        })
        .await
        .unwrap();
        assert_eq!(stored(&t).await, [1.0, 3.0]);
    }
}

#[tokio::test]
async fn a_failed_nested_mutation_restores_deleted_documents() {
    async fn spoil(ctx: &mut MutationCtx, (): ()) -> Result<()> {
        let mut pages = ctx.db.query(Task::BY_OWNER_AND_RANK).pages(10)?;
        while let Some(tasks) = pages.next(&mut ctx.db).await? {
            for task in tasks {
                ctx.db.delete(&task.id).await?;
            }
        }
        Err(Error::msg("spoilt"))
    }
    let t = backend().functions(Functions::in_module("more").mutation("spoil", spoil));
    fill(&t, "ada", [1.0]).await;
    t.mutation(async |ctx| {
        ctx.db.insert(task("ada", 2.0)).await?;
        ctx.run_mutation(spoil, ()).await.unwrap_err();
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(stored(&t).await, [1.0, 2.0]);
}

#[tokio::test]
async fn writes_of_a_failed_nested_mutation_are_not_read() {
    async fn raise(ctx: &mut MutationCtx, (): ()) -> Result<()> {
        for task in ctx.db.query(Task::BY_OWNER_AND_RANK).collect().await? {
            ctx.db
                .patch(&task.id, Task::patch().rank(task.rank + 10.0))
                .await?;
        }
        assert_eq!(
            ranks(&ctx.db.query(Task::BY_OWNER_AND_RANK).collect().await?),
            [11.0, 12.0]
        );
        Err(Error::msg("no"))
    }
    let t = backend().functions(Functions::in_module("more").mutation("raise", raise));
    fill(&t, "ada", [1.0]).await;
    t.mutation(async |ctx| {
        let stored = ctx
            .db
            .query(Task::BY_OWNER_AND_RANK)
            .unique()
            .await?
            .unwrap();
        let inserted = ctx.db.insert(task("ada", 2.0)).await?;
        ctx.run_mutation(raise, ()).await.unwrap_err();
        assert_eq!(ctx.db.get(&stored.id).await?.unwrap().rank, 1.0);
        assert_eq!(ctx.db.get(&inserted).await?.unwrap().rank, 2.0);
        for task in ctx.db.query(Task::BY_OWNER_AND_RANK).collect().await? {
            let again = ctx.db.get(&task.id).await?.unwrap();
            assert_eq!(again.rank, task.rank);
            ctx.db
                .patch(&task.id, Task::patch().rank(again.rank + 1.0))
                .await?;
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(stored(&t).await, [2.0, 3.0]);
}

#[tokio::test]
async fn a_failed_mutation_undoes_its_nested_mutations() {
    let t = backend();
    let failed = t.mutation(async |ctx| {
        ctx.run_mutation(add, adding(1.0)).await?;
        Err::<(), _>(Error::msg("no"))
    });
    failed.await.unwrap_err();
    assert!(stored(&t).await.is_empty());
}

#[tokio::test]
async fn a_panic_in_a_nested_mutation_fails_that_call() {
    async fn explode(ctx: &mut MutationCtx, args: Add) -> Result<()> {
        add(ctx, args).await?;
        panic!("boom {}", 1);
    }
    let t = backend().functions(Functions::in_module("more").mutation("explode", explode));
    t.mutation(async |ctx| {
        let error = ctx.run_mutation(explode, adding(1.0)).await.unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (Code::Panicked, "`more:explode` panicked: boom 1")
        );
        ctx.run_mutation(add, adding(2.0)).await
    })
    .await
    .unwrap();
    assert_eq!(stored(&t).await, [2.0]);
}

#[derive(Args, Clone)]
struct Down {
    levels: f64,
}

async fn down(ctx: &mut QueryCtx, args: Down) -> Result<f64> {
    if args.levels == 0.0 {
        return Ok(0.0);
    }
    Ok(1.0
        + ctx
            .run_query(
                down,
                Down {
                    levels: args.levels - 1.0,
                },
            )
            .await?)
}

#[tokio::test]
async fn a_function_can_call_itself_up_to_the_depth_limit() {
    let t = backend().functions(Functions::in_module("more").query("down", down));
    assert_eq!(
        t.query(async |ctx| ctx.run_query(down, Down { levels: 6.0 }).await)
            .await
            .unwrap(),
        6.0
    );
    let error = t
        .query(async |ctx| ctx.run_query(down, Down { levels: 20.0 }).await)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::LimitExceeded);
    assert!(
        error.message().contains("the limit is 8"),
        "{}",
        error.message()
    );
}

#[tokio::test]
async fn a_function_that_is_not_registered_cannot_be_called() {
    let t = TestBackend::new(schema());
    let error = t
        .mutation(async |ctx| ctx.run_mutation(add, adding(1.0)).await)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::FunctionNotFound);
    assert!(
        error.message().contains("fixture::add` is not registered"),
        "{}",
        error.message()
    );
}

#[tokio::test]
async fn arguments_passed_as_a_value_are_validated() {
    let t = backend();
    let call = async |args: lentil::Value| {
        t.mutation(async |ctx| ctx.run_mutation(add, args.clone()).await)
            .await
    };
    call(
        lentil::Object::from([("owner", lentil::Value::from("ada")), ("rank", 1.0.into())]).into(),
    )
    .await
    .unwrap();
    let missing = call(lentil::Object::from([("owner", "ada")]).into())
        .await
        .unwrap_err();
    assert_eq!(
        missing.message(),
        "argument `rank`: missing, expected v.number()"
    );
    assert_eq!(
        call(lentil::Value::Null).await.unwrap_err().code(),
        Code::ArgumentValidation
    );
}

#[tokio::test]
async fn a_dropped_nested_call_aborts_the_transaction() {
    let t = backend();
    let failed = t.mutation(async |ctx| {
        ctx.db.insert(task("ada", 1.0)).await?;
        let mut nested = ctx.run_mutation(add, adding(2.0));
        // The call is polled once and dropped.
        let polled =
            std::future::poll_fn(|cx| std::task::Poll::Ready(nested.as_mut().poll(cx).is_ready()))
                .await;
        drop(nested);
        if !polled {
            assert_eq!(
                ctx.db.insert(task("ada", 3.0)).await.unwrap_err().code(),
                Code::Abandoned
            );
        }
        Ok(polled)
    });
    match failed.await {
        Ok(was_ready) => assert!(was_ready),
        Err(error) => assert_eq!(error.code(), Code::Abandoned),
    }
}

#[tokio::test]
async fn log_lines_of_nested_calls_are_in_the_log_of_the_caller() {
    async fn inner(ctx: &mut QueryCtx, (): ()) -> Result<()> {
        ctx.log.warn("inner");
        Ok(())
    }
    async fn outer(ctx: &mut QueryCtx, (): ()) -> Result<()> {
        ctx.log.log("before");
        ctx.run_query(inner, ()).await?;
        ctx.log.info("after");
        Ok(())
    }
    let t = backend().functions(
        Functions::in_module("logs")
            .query("inner", inner)
            .query("outer", outer),
    );
    for _ in 0..2 {
        let path = lentil_runtime::FunctionPath::parse("logs:outer").unwrap();
        let identity = lentil_runtime::Identity::Anonymous;
        let call = lentil_runtime::FunctionCall::new(path, lentil::Object::new(), identity);
        let outcome = t.runtime().await.call(call, None).await;
        assert_eq!(
            outcome.log_lines,
            ["[LOG] before", "[WARN] inner", "[INFO] after"],
            "a cached result has its log lines"
        );
    }
}
