use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use lentil::{
    Args, Document, Error, Functions, MutationCtx, Object, QueryCtx, Result, UserIdentity, Value,
};
use lentil_runtime::{
    FunctionCall, FunctionPath, Identity, Runtime, SessionRequest, Subscriber, Update, Uuid,
};
use lentil_store::Timestamp;
use lentil_system::sessions;
use lentil_testing::TestBackend;

use crate::fixture::*;

fn path(path: &str) -> FunctionPath {
    FunctionPath::parse(path).unwrap()
}

fn session(number: u128) -> Uuid {
    Uuid::from_random_bits(number)
}

fn of(owner: &str) -> Object {
    Object::from([("owner", owner)])
}

/// The sums of two owners' ranks: equal at every timestamp, as `mirror` writes both.
async fn sum(ctx: &mut QueryCtx, args: List) -> Result<f64> {
    Ok(list(ctx, args)
        .await?
        .iter()
        .fold(0.0, |sum, task| sum + task.rank))
}

async fn mirror(ctx: &mut MutationCtx, args: Add) -> Result<()> {
    ctx.db.insert(task(&args.owner, args.rank)).await?;
    ctx.db
        .insert(task(&format!("{}'s mirror", args.owner), args.rank))
        .await?;
    Ok(())
}

/// Fails as long as the owner has a task.
async fn must_be_idle(ctx: &mut QueryCtx, args: List) -> Result<()> {
    match list(ctx, args).await?.len() {
        0 => Ok(()),
        count => Err(Error::application(count as f64)),
    }
}

fn live() -> TestBackend {
    let more = Functions::in_module("live")
        .query("sum", sum)
        .mutation("mirror", mirror)
        .query("mustBeIdle", must_be_idle)
        .internal_query("secret", sum);
    backend().functions(more)
}

fn values(update: &Update) -> BTreeMap<u32, Value> {
    let value = |run: &lentil_runtime::cache::QueryResult| match &run.result {
        Ok(value) => Value::clone(value),
        Err(error) => error.data().cloned().unwrap(),
    };
    update
        .changes
        .iter()
        .map(|(number, run)| (*number, value(run)))
        .collect()
}

fn sums(numbers: impl IntoIterator<Item = (u32, f64)>) -> BTreeMap<u32, Value> {
    numbers
        .into_iter()
        .map(|(number, sum)| (number, Value::Float64(sum)))
        .collect()
}

async fn refresh(client: &mut Subscriber) -> BTreeMap<u32, Value> {
    values(&client.refresh(Timestamp::MIN).await)
}

#[tokio::test]
async fn only_a_commit_that_invalidates_a_live_query_changes_its_result() {
    for t in [live(), live().on_sqlite()] {
        let mut client = t.runtime().await.subscriber(Identity::Anonymous);
        client.add(1, path("live:sum"), of("ada"), None);
        client.add(2, path("live:sum"), of("bob"), None);
        assert!(client.is_stale());
        assert_eq!(refresh(&mut client).await, sums([(1, 0.0), (2, 0.0)]));
        assert!(!client.is_stale());
        fill(&t, "cy", [1.0]).await;
        assert!(!client.is_stale());
        fill(&t, "ada", [1.0]).await;
        assert!(client.is_stale());
        client.change_notifier().changed().await;
        assert_eq!(refresh(&mut client).await, sums([(1, 1.0)]));
        client.remove(1);
        fill(&t, "ada", [1.0]).await;
        assert!(!client.is_stale());
    }
}

#[tokio::test]
async fn only_inserts_and_deletes_invalidate_a_live_count() {
    async fn count(ctx: &mut QueryCtx, args: List) -> Result<f64> {
        Ok(ctx
            .db
            .query(Task::BY_OWNER_AND_RANK.eq(args.owner))
            .count()
            .await? as f64)
    }
    let counts = || Functions::in_module("more").query("count", count);
    for t in [
        live().functions(counts()),
        live().functions(counts()).on_sqlite(),
    ] {
        fill(&t, "ada", [1.0, 2.0]).await;
        let first = t.documents::<Task>().await.unwrap().remove(0).id;
        let mut client = t.runtime().await.subscriber(Identity::Anonymous);
        client.add(1, path("more:count"), of("ada"), None);
        assert_eq!(refresh(&mut client).await, sums([(1, 2.0)]));
        fill(&t, "bob", [3.0]).await;
        t.mutation(async |ctx| ctx.db.patch(&first, Task::patch().note("x")).await)
            .await
            .unwrap();
        assert!(!client.is_stale(), "the document has changed in its place");
        fill(&t, "ada", [3.0]).await;
        assert!(client.is_stale());
        assert_eq!(refresh(&mut client).await, sums([(1, 3.0)]));
        t.mutation(async |ctx| ctx.db.patch(&first, Task::patch().owner("bob")).await)
            .await
            .unwrap();
        assert_eq!(refresh(&mut client).await, sums([(1, 2.0)]));
        t.mutation(async |ctx| ctx.db.delete(&first).await)
            .await
            .unwrap();
        assert!(!client.is_stale());
    }
}

#[tokio::test]
async fn an_equal_result_is_not_sent_again() {
    let t = live();
    let mut client = t.runtime().await.subscriber(Identity::Anonymous);
    client.add(1, path("live:sum"), of("ada"), None);
    let before = client.refresh(Timestamp::MIN).await.timestamp;
    fill(&t, "ada", [0.0]).await;
    assert!(client.is_stale());
    let update = client.refresh(Timestamp::MIN).await;
    assert!(update.changes.is_empty() && update.timestamp > before);
}

#[tokio::test]
async fn a_failed_query_stays_live() {
    let t = live();
    let mut client = t.runtime().await.subscriber(Identity::Anonymous);
    client.add(1, path("live:mustBeIdle"), of("ada"), None);
    assert_eq!(
        refresh(&mut client).await,
        BTreeMap::from([(1, Value::Null)])
    );
    fill(&t, "ada", [1.0]).await;
    assert_eq!(refresh(&mut client).await, sums([(1, 1.0)]));
    fill(&t, "ada", [1.0]).await;
    assert_eq!(refresh(&mut client).await, sums([(1, 2.0)]));
}

#[tokio::test]
async fn a_query_that_cannot_be_watched_fails_alone() {
    let t = live();
    let mut client = t.runtime().await.subscriber(Identity::Anonymous);
    client.add(1, path("live:mirror"), of("ada"), None);
    client.add(2, path("live:sum"), Object::from([("owner", 5.0)]), None);
    client.add(3, path("live:none"), of("ada"), None);
    client.add(4, path("live:sum"), of("ada"), None);
    let update = client.refresh(Timestamp::MIN).await;
    let codes = update
        .changes
        .iter()
        .map(|(_, run)| run.result.as_ref().err().map(Error::code));
    use lentil::Code::*;
    let expected = [
        Some(WrongFunctionKind),
        Some(ArgumentValidation),
        Some(FunctionNotFound),
        None,
    ];
    assert!(codes.eq(expected), "{update:?}");
}

#[tokio::test]
async fn many_watchers_share_one_execution() {
    let t = live();
    let runtime = t.runtime().await;
    let mut clients: Vec<_> = (0..100)
        .map(|_| runtime.subscriber(Identity::Anonymous))
        .collect();
    for client in &mut clients {
        client.add(7, path("live:sum"), of("ada"), None);
        client.refresh(Timestamp::MIN).await;
    }
    assert_eq!(
        (runtime.cache_stats().misses, runtime.live_queries()),
        (1, 1)
    );
    fill(&t, "ada", [1.0]).await;
    let refreshed: Vec<_> = futures_util::future::join_all(clients.iter_mut().map(refresh)).await;
    assert!(refreshed.iter().all(|values| *values == sums([(7, 1.0)])));
    assert_eq!(runtime.cache_stats().misses, 2);
    clients.truncate(1);
    assert_eq!(runtime.live_queries(), 1);
    drop(clients);
    assert_eq!(
        runtime.live_queries(),
        0,
        "what nobody watches is forgotten"
    );
}

#[tokio::test]
async fn a_change_of_identity_executes_every_query_again() {
    async fn me(ctx: &mut QueryCtx, (): ()) -> Result<Option<String>> {
        Ok(ctx
            .auth
            .user_identity()
            .map(|user| user.subject().to_owned()))
    }
    let t = live().functions(Functions::in_module("me").query("name", me));
    let runtime = t.runtime().await;
    let mut client = runtime.subscriber(Identity::Anonymous);
    client.add(1, path("me:name"), Object::new(), None);
    client.add(2, path("live:sum"), of("ada"), None);
    client.add(3, path("live:secret"), of("ada"), None);
    let first = client.refresh(Timestamp::MIN).await;
    assert!(
        first.changes[2]
            .1
            .result
            .as_ref()
            .is_err_and(|error| error.code() == lentil::Code::FunctionNotFound)
    );
    let user = Arc::new(UserIdentity::new("https://issuer.test", "ada"));
    client.set_identity(Identity::User(user));
    assert_eq!(
        refresh(&mut client).await,
        BTreeMap::from([(1, Value::from("ada"))]),
        "the sum is as it was"
    );
    client.set_identity(Identity::Admin { acting_as: None });
    assert_eq!(
        refresh(&mut client).await,
        BTreeMap::from([(1, Value::Null), (3, Value::Float64(0.0))])
    );
    drop(client);
    assert_eq!(runtime.live_queries(), 0);
}

#[tokio::test]
async fn a_repeated_request_of_a_session_runs_its_mutation_once() {
    for t in [live(), live().on_sqlite()] {
        let runtime = t.runtime().await;
        let call = |request_id, rank: f64| {
            let args = Add {
                owner: "ada".into(),
                rank,
            }
            .into_object();
            let mut call = FunctionCall::new(path("tasks:add"), args, Identity::Anonymous);
            call.request = Some(SessionRequest {
                session_id: session(1),
                request_id,
            });
            runtime.call(call, None)
        };
        let first = call(1, 1.0).await;
        let (again, at_once) = (
            call(1, 1.0).await,
            futures_util::future::join_all((0..8).map(|_| call(2, 5.0))).await,
        );
        assert_eq!(first.result.unwrap(), again.result.unwrap());
        assert!(again.timestamp >= first.timestamp);
        let mut renamed =
            FunctionCall::new(path("tasks:renamed"), Object::new(), Identity::Anonymous);
        renamed.request = Some(SessionRequest {
            session_id: session(1),
            request_id: 1,
        });
        assert!(
            runtime.call(renamed, None).await.result.is_ok(),
            "the recorded result is valid although the function is gone"
        );
        assert!(at_once.iter().all(|outcome| outcome.result.is_ok()));
        assert_eq!(t.documents::<Task>().await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_failed_mutation_runs_again_and_results_are_pruned_after_a_fortnight() {
    let t = live();
    let runtime = t.runtime().await;
    let call = async |name: &str| {
        let args = Add {
            owner: "ada".into(),
            rank: 1.0,
        }
        .into_object();
        let mut call = FunctionCall::new(path(name), args, Identity::Anonymous);
        call.request = Some(SessionRequest {
            session_id: session(1),
            request_id: 1,
        });
        runtime.call(call, None).await.result
    };
    assert!(call("tasks:fail").await.is_err());
    call("tasks:add").await.unwrap();
    let kept = sessions::bytes(runtime, session(1), 1 << 20).await.unwrap();
    assert!(kept > 0 && sessions::bytes(runtime, session(2), 1 << 20).await.unwrap() == 0);
    t.advance(Duration::from_secs(13 * 24 * 60 * 60));
    assert_eq!(sessions::prune(runtime, runtime.now_ms()).await.unwrap(), 0);
    t.advance(Duration::from_secs(2 * 24 * 60 * 60));
    assert_eq!(sessions::prune(runtime, runtime.now_ms()).await.unwrap(), 1);
    assert_eq!(
        sessions::bytes(runtime, session(1), 1 << 20).await.unwrap(),
        0
    );
}

/// Writers write two equal halves, and subscribers watch both. After every refresh the halves must
/// be equal, and timestamps must not decrease. When the writers have ended, each result must equal
/// that of a new execution.
async fn oracle(t: TestBackend, seed: u64) {
    const OWNERS: [&str; 4] = ["a", "b", "c", "d"];
    let runtime = t.runtime().await.clone();
    let (is_over, refreshes) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
    );
    let watch = async |owners: &[&str], runtime: &Runtime| {
        let mut client = runtime.subscriber(Identity::Anonymous);
        let mut seen = BTreeMap::new();
        for (at, owner) in owners.iter().enumerate() {
            client.add(at as u32 * 2, path("live:sum"), of(owner), None);
            client.add(
                at as u32 * 2 + 1,
                path("live:sum"),
                of(&format!("{owner}'s mirror")),
                None,
            );
        }
        let changes = client.change_notifier();
        let mut last = Timestamp::MIN;
        loop {
            let ends = is_over.load(Ordering::SeqCst);
            let update = client.refresh(Timestamp::MIN).await;
            refreshes.fetch_add(1, Ordering::SeqCst);
            assert!(update.timestamp >= last, "timestamps never go back");
            last = update.timestamp;
            seen.extend(values(&update));
            for at in 0..owners.len() as u32 {
                assert_eq!(
                    seen[&(at * 2)],
                    seen[&(at * 2 + 1)],
                    "two queries of one client are of one timestamp"
                );
            }
            if ends {
                return seen;
            }
            let _ = tokio::time::timeout(Duration::from_millis(50), changes.changed()).await;
        }
    };
    let write = async |writer: u64| {
        for step in 0..150_u64 {
            let owner = OWNERS[((seed + writer * 7 + step * (writer + 1)) % 4) as usize];
            let args = Add {
                owner: owner.into(),
                rank: (step % 5) as f64,
            }
            .into_object();
            let call = FunctionCall::new(path("live:mirror"), args, Identity::Anonymous);
            runtime.call(call, None).await.result.unwrap();
        }
    };
    let watchers = [&OWNERS[..], &OWNERS[..2], &OWNERS[2..], &OWNERS[..]]
        .map(|owners| watch(owners, &runtime));
    let writers = async {
        futures_util::future::join_all((0..4).map(write)).await;
        is_over.store(true, Ordering::SeqCst);
    };
    let (seen, ()) = tokio::join!(futures_util::future::join_all(watchers), writers);
    for (seen, owners) in seen
        .iter()
        .zip([&OWNERS[..], &OWNERS[..2], &OWNERS[2..], &OWNERS[..]])
    {
        for (at, owner) in owners.iter().enumerate() {
            let fresh = t
                .query(async |ctx| {
                    sum(
                        ctx,
                        List {
                            owner: (*owner).into(),
                        },
                    )
                    .await
                })
                .await
                .unwrap();
            assert_eq!(
                seen[&(at as u32 * 2)],
                Value::Float64(fresh),
                "nothing is stale and nothing is missed"
            );
        }
    }
    assert!(refreshes.load(Ordering::SeqCst) > 8);
    assert_eq!(runtime.live_queries(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn live_results_share_a_timestamp_and_none_is_stale_or_missed() {
    for seed in 0..2 {
        oracle(live(), seed).await;
        oracle(live().on_sqlite(), seed).await;
    }
}
