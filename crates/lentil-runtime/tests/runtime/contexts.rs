//! The common methods of the contexts of queries and mutations.

use lentil::{Args, Doc, Document, Functions, Id, MutationCtx, QueryCtx, Result, Value};
use lentil_testing::TestBackend;

use crate::fixture::*;

#[derive(Args, Clone)]
struct Of {
    owner: String,
}

/// A helper that reads, for queries and mutations.
async fn highest(ctx: &mut QueryCtx, owner: &str) -> Result<Option<Doc<Task>>> {
    let tasks = ctx.db.query(Task::BY_OWNER_AND_RANK.eq(owner));
    tasks.order(lentil::Order::Desc).first().await
}

async fn highest_rank(ctx: &mut QueryCtx, args: Of) -> Result<Option<f64>> {
    Ok(highest(ctx, &args.owner).await?.map(|task| task.rank))
}

async fn add_next(ctx: &mut MutationCtx, args: Of) -> Result<Id<Task>> {
    let highest = highest(ctx, &args.owner).await?;
    let rank = highest.map_or(1.0, |task| task.rank + 1.0);
    ctx.db.insert(task(&args.owner, rank)).await
}

fn ranking() -> TestBackend {
    let functions = Functions::in_module("ranks")
        .query("highest", highest_rank)
        .mutation("addNext", add_next);
    backend().functions(functions)
}

#[tokio::test]
async fn a_helper_over_a_query_context_reads_the_writes_of_a_mutation() {
    for t in [ranking(), ranking().on_sqlite()] {
        let owner = Of {
            owner: "ada".into(),
        };
        t.mutation(async |ctx| {
            add_next(ctx, owner.clone()).await?;
            add_next(ctx, owner.clone()).await?;
            assert_eq!(highest_rank(ctx, owner.clone()).await?, Some(2.0));
            assert_eq!(ctx.run_query(highest_rank, owner.clone()).await?, Some(2.0));
            Ok(())
        })
        .await
        .unwrap();
        let args = lentil::Object::from([("owner", "ada")]);
        let highest = t.call_public("ranks:highest", args).await.unwrap();
        assert_eq!(highest, Value::Float64(2.0));
    }
}

#[tokio::test]
async fn arguments_of_ctx_db_may_read_the_context() {
    let t = backend().env("OWNER", "ada");
    t.clock().set_ms(7_000.0);
    t.mutation(async |ctx| {
        let id = ctx
            .db
            .insert(Task {
                owner: ctx.env("OWNER").await?.unwrap_or_default(),
                rank: ctx.now()?,
                note: Some(format!("{}", ctx.random())),
            })
            .await?;
        let found = ctx
            .db
            .query(Task::BY_OWNER_AND_RANK.eq("ada").eq(ctx.now()?))
            .unique()
            .await?;
        assert_eq!(found.map(|task| task.id), Some(id));
        Ok(())
    })
    .await
    .unwrap();
    let found = t.query(async |ctx| {
        let range = Task::BY_OWNER_AND_RANK.eq("ada").eq(ctx.now()?);
        ctx.db.query(range).unique().await
    });
    assert_eq!(found.await.unwrap().unwrap().rank, 7_000.0);
}

#[tokio::test]
async fn a_document_is_read_and_written_by_its_id_or_a_reference() {
    let t = backend();
    t.mutation(async |ctx| {
        let id = ctx.db.insert(task("ada", 1.0)).await?;
        let reference = &id;
        ctx.db.patch(reference, Task::patch().rank(2.0)).await?;
        assert_eq!(ctx.db.get(id).await?.unwrap().rank, 2.0);
        assert_eq!(ctx.db.get(reference).await?.unwrap().rank, 2.0);
        ctx.db.delete(id).await
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn random_bytes_differ_and_repeat_with_the_seed() {
    let draw = async |seed| {
        let t = backend().seed(seed);
        t.mutation(async |ctx| Ok((ctx.random_bytes(16), ctx.random_bytes(16))))
            .await
            .unwrap()
    };
    let (first, second) = draw(1).await;
    assert_eq!((first.len(), second.len()), (16, 16));
    assert_ne!(first, second);
    assert_eq!(draw(1).await, (first.clone(), second));
    assert_ne!(draw(2).await.0, first);
}
