use lentil::{QueryCtx, Result};
use lentil_runtime::{FunctionCall, FunctionPath, Identity, QuerySnapshot, Runtime, Timestamp};
use lentil_testing::TestBackend;

use crate::fixture::*;

async fn hold(t: &TestBackend) -> QuerySnapshot {
    t.runtime().await.held_query_snapshot().await.unwrap()
}

/// Returns the number of the owner's tasks at a timestamp, or `None` when that state is gone.
async fn count_at(
    t: &TestBackend,
    owner: &str,
    timestamp: Timestamp,
    held: Option<&QuerySnapshot>,
) -> Option<usize> {
    let runtime: &Runtime = t.runtime().await;
    let args = List {
        owner: owner.into(),
    };
    let path = FunctionPath::parse("tasks:list").unwrap();
    let call = FunctionCall::new(path, lentil::Args::into_object(args), Identity::Anonymous);
    let outcome = runtime.query_at(timestamp, held, call).await?;
    Some(outcome.result.unwrap().as_array().unwrap().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_continue_while_sixty_four_timestamps_are_held() {
    for t in backends() {
        let mut held = Vec::new();
        for rank in 0..64 {
            held.push(hold(&t).await);
            fill(&t, "ada", [f64::from(rank)]).await;
        }
        for (rank, snapshot) in held.iter().enumerate() {
            let at = snapshot.timestamp();
            assert_eq!(count_at(&t, "ada", at, Some(snapshot)).await, Some(rank));
        }
        let now = t.query(async |ctx: &mut QueryCtx| -> Result<usize> {
            ctx.db
                .query(Task::BY_OWNER_AND_RANK.eq("ada"))
                .count()
                .await
        });
        assert_eq!(now.await.unwrap(), 64);
    }
}

#[tokio::test]
async fn a_query_with_unchanged_data_needs_no_snapshot() {
    for t in backends() {
        fill(&t, "ada", [1.0]).await;
        let at = hold(&t).await.timestamp();
        fill(&t, "bob", [1.0]).await;
        assert_eq!(count_at(&t, "ada", at, None).await, Some(1));
        assert_eq!(count_at(&t, "bob", at, None).await, None);
        fill(&t, "ada", [2.0]).await;
        assert_eq!(count_at(&t, "ada", at, None).await, None);
        let never = Timestamp::from_nanos(u64::MAX);
        assert_eq!(count_at(&t, "ada", never, None).await, None);
    }
}
