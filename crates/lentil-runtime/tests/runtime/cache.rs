use std::time::Duration;

use lentil::{Code, Error, Functions, Object, QueryCtx, Result, Value};
use lentil_testing::TestBackend;

use crate::fixture::*;

async fn now(ctx: &mut QueryCtx, (): ()) -> Result<f64> {
    ctx.now()
}

async fn outer(ctx: &mut QueryCtx, (): ()) -> Result<f64> {
    Ok(ctx
        .run_query(
            list,
            List {
                owner: "ada".into(),
            },
        )
        .await?
        .len() as f64)
}

async fn refuse(_ctx: &mut QueryCtx, (): ()) -> Result<()> {
    Err(Error::msg("no"))
}

fn caching() -> TestBackend {
    let more = Functions::in_module("more")
        .query("now", now)
        .query("outer", outer)
        .query("refuse", refuse);
    backend().functions(more)
}

async fn call(t: &TestBackend, path: &str) -> Result<Value> {
    t.call(path, Object::new()).await
}

async fn hits_and_misses(t: &TestBackend) -> (u64, u64) {
    let stats = t.runtime().await.cache_stats();
    (stats.hits, stats.misses)
}

#[tokio::test]
async fn a_result_is_reused_until_its_reads_are_invalidated() {
    for t in [caching(), caching().on_sqlite()] {
        let list = async || {
            t.call("tasks:list", Object::from([("owner", "ada")]))
                .await
                .unwrap()
        };
        fill(&t, "ada", [1.0]).await;
        assert_eq!(list().await, list().await);
        assert_eq!(hits_and_misses(&t).await, (1, 1));
        fill(&t, "bob", [2.0]).await;
        list().await;
        assert_eq!(
            hits_and_misses(&t).await,
            (2, 1),
            "another owner's task is not in the range that was read"
        );
        fill(&t, "ada", [3.0]).await;
        assert_eq!(list().await.as_array().unwrap().len(), 2);
        assert_eq!(hits_and_misses(&t).await, (2, 2));
    }
}

#[tokio::test]
async fn an_empty_result_is_invalidated_by_an_insert() {
    let t = caching();
    let list = async || {
        t.call("tasks:list", Object::from([("owner", "ada")]))
            .await
            .unwrap()
    };
    assert_eq!(list().await.as_array().unwrap().len(), 0);
    fill(&t, "ada", [1.0]).await;
    assert_eq!(list().await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn reads_of_a_nested_query_belong_to_its_caller() {
    let t = caching();
    assert_eq!(call(&t, "more:outer").await.unwrap(), Value::Float64(0.0));
    fill(&t, "ada", [1.0]).await;
    assert_eq!(call(&t, "more:outer").await.unwrap(), Value::Float64(1.0));
}

#[tokio::test]
async fn a_result_that_depends_on_the_time_is_reused_for_seconds() {
    let t = caching();
    let first = call(&t, "more:now").await.unwrap();
    t.advance(Duration::from_secs(1));
    assert_eq!(call(&t, "more:now").await.unwrap(), first);
    t.advance(Duration::from_secs(5));
    assert_ne!(call(&t, "more:now").await.unwrap(), first);
}

#[tokio::test]
async fn an_error_is_not_cached() {
    let t = caching();
    for _ in 0..2 {
        assert_eq!(
            call(&t, "more:refuse").await.unwrap_err().code(),
            Code::Uncaught
        );
    }
    assert_eq!(hits_and_misses(&t).await, (0, 2));
}
