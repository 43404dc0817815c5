use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use lentil_call::{RequestId, Visibility};
use lentil_store::conflict::ReadSet;
use lentil_store::{Commit, CommitObserver, IndexId, IndexRef, Timestamp};
use lentil_values::{IndexKey, Interval, Object, TableNumber, Value};
use tokio::sync::oneshot;

use super::cache_key::CacheKey;
use super::query_cache::{CacheRequest, QueryCache};
use super::query_result::QueryResult;
use crate::executions::ExecutionId;
use crate::memory::Memory;

const INDEX: IndexRef = IndexRef::Declared(TableNumber::FIRST_USER, IndexId(1));

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn key(name: &str) -> CacheKey {
    CacheKey::new(name, &Object::new(), None, Visibility::Public)
}

fn request(key: CacheKey, since: u64) -> CacheRequest<'static> {
    CacheRequest {
        key,
        user: "".into(),
        since: at(since),
        now_ms: 0.0,
        limit: None,
    }
}

fn number(found: &QueryResult) -> f64 {
    found.result.as_ref().unwrap().as_f64().unwrap()
}

/// Returns a result computed at a snapshot, from the keys that begin with `read`.
fn result(value: f64, snapshot: u64, read: &[u8]) -> QueryResult {
    let mut read_set = ReadSet::default();
    read_set.add(INDEX, Interval::prefix(read));
    charged(QueryResult {
        result: Ok(Arc::new(Value::Float64(value))),
        log_lines: Vec::new(),
        read_set,
        timestamp: at(snapshot),
        journal: None,
        json: OnceLock::new(),
        charge: Memory::default().charge(0),
        request_id: RequestId::made(0),
        execution: ExecutionId::default(),
    })
}

fn charged(mut found: QueryResult) -> QueryResult {
    found.charge.set(found.heap_size());
    found
}

fn commit(cache: &QueryCache, nanos: u64, written: &[u8]) {
    let keys = vec![(INDEX, IndexKey::from_bytes(written.to_vec()))];
    cache.committed(&Arc::new(Commit {
        timestamp: at(nanos),
        keys,
    }));
}

/// Returns the cached result at `since`, or executes the query with the result `fresh`.
async fn ask(cache: &QueryCache, name: &str, since: u64, fresh: QueryResult) -> f64 {
    let found = cache
        .get_or_execute(request(key(name), since), async { Ok::<_, ()>(fresh) })
        .await
        .unwrap();
    number(&found)
}

#[tokio::test]
async fn a_commit_removes_only_the_results_that_it_invalidates() {
    let cache = QueryCache::new(1 << 20);
    ask(&cache, "a", 1, result(1.0, 1, b"a")).await;
    ask(&cache, "b", 1, result(2.0, 1, b"b")).await;
    commit(&cache, 2, b"ax");
    assert_eq!(ask(&cache, "a", 2, result(10.0, 2, b"a")).await, 10.0);
    assert_eq!(ask(&cache, "b", 2, result(20.0, 2, b"b")).await, 2.0);
    assert_eq!(cache.stats().invalidations, 1);
}

#[tokio::test]
async fn a_result_overtaken_by_a_commit_is_returned_and_not_cached() {
    let cache = QueryCache::new(1 << 20);
    let overtaken = async {
        commit(&cache, 5, b"a");
        Ok::<_, ()>(result(1.0, 4, b"a"))
    };
    let found = cache
        .get_or_execute(request(key("a"), 4), overtaken)
        .await
        .unwrap();
    assert_eq!(number(&found), 1.0);
    assert_eq!(ask(&cache, "a", 5, result(2.0, 5, b"a")).await, 2.0);
}

#[tokio::test]
async fn a_result_that_includes_a_commit_stays_when_the_cache_is_notified_of_it() {
    let cache = QueryCache::new(1 << 20);
    ask(&cache, "a", 4, result(1.0, 5, b"a")).await;
    commit(&cache, 5, b"a");
    assert_eq!(ask(&cache, "a", 5, result(2.0, 5, b"a")).await, 1.0);
}

#[tokio::test]
async fn no_result_from_before_everything_changed_is_returned_or_cached() {
    let cache = QueryCache::new(1 << 20);
    ask(&cache, "old", 4, result(1.0, 4, b"a")).await;
    ask(&cache, "new", 6, result(2.0, 6, b"a")).await;
    let overtaken = async {
        cache.everything_changed(at(6));
        Ok::<_, ()>(result(3.0, 5, b"z"))
    };
    let found = cache
        .get_or_execute(request(key("overtaken"), 5), overtaken)
        .await
        .unwrap();
    assert_eq!(number(&found), 3.0);
    assert_eq!(ask(&cache, "old", 6, result(10.0, 6, b"a")).await, 10.0);
    assert_eq!(ask(&cache, "new", 6, result(20.0, 6, b"a")).await, 2.0);
    let again = result(30.0, 6, b"z");
    assert_eq!(ask(&cache, "overtaken", 6, again).await, 30.0);
}

#[tokio::test]
async fn a_result_older_than_the_remembered_commits_is_not_cached() {
    let cache = QueryCache::new(1 << 20);
    for nanos in 10..10_000 {
        commit(&cache, nanos, b"z");
    }
    ask(&cache, "a", 9, result(1.0, 9, b"a")).await;
    assert_eq!(cache.stats().entries, 0);
}

/// Makes a second request at `since` while the first still executes, and returns both results.
async fn ask_twice(cache: &QueryCache, since: u64) -> (f64, f64) {
    let (finish, finished) = oneshot::channel();
    let slow = async {
        finished.await.map_err(drop)?;
        Ok::<_, ()>(result(1.0, 5, b"a"))
    };
    let mut first = pin!(cache.get_or_execute(request(key("a"), 5), slow));
    assert!(poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
    let mut second = pin!(cache.get_or_execute(request(key("a"), since), async {
        Ok::<_, ()>(result(2.0, since, b"a"))
    }));
    let mut early = poll_fn(|cx| match second.as_mut().poll(cx) {
        Poll::Ready(found) => Poll::Ready(Some(found)),
        Poll::Pending => Poll::Ready(None),
    })
    .await;
    finish.send(()).unwrap();
    let first = first.await.unwrap();
    let second = match early.take() {
        Some(found) => found.unwrap(),
        None => second.await.unwrap(),
    };
    (number(&first), number(&second))
}

#[tokio::test]
async fn concurrent_misses_of_one_key_share_an_execution() {
    let cache = QueryCache::new(1 << 20);
    assert_eq!(ask_twice(&cache, 5).await, (1.0, 1.0));
    assert_eq!((cache.stats().misses, cache.stats().coalesced), (1, 1));
}

#[tokio::test]
async fn a_request_after_a_commit_does_not_join_an_earlier_execution() {
    let cache = QueryCache::new(1 << 20);
    assert_eq!(ask_twice(&cache, 6).await, (1.0, 2.0));
}

#[tokio::test]
async fn a_waiter_gets_its_result_although_a_later_execution_has_begun() {
    let cache = QueryCache::new(1 << 20);
    let (finish, finished) = oneshot::channel();
    let slow = async {
        finished.await.map_err(drop)?;
        Ok::<_, ()>(result(1.0, 5, b"a"))
    };
    let mut first = pin!(cache.get_or_execute(request(key("a"), 5), slow));
    let never = async { Err::<QueryResult, ()>(()) };
    let mut second = pin!(cache.get_or_execute(request(key("a"), 5), never));
    let pending = poll_fn(|cx| {
        Poll::Ready(first.as_mut().poll(cx).is_pending() && second.as_mut().poll(cx).is_pending())
    });
    assert!(pending.await);
    let mut third = pin!(cache.get_or_execute(
        request(key("a"), 6),
        std::future::pending::<Result<QueryResult, ()>>()
    ));
    assert!(poll_fn(|cx| Poll::Ready(third.as_mut().poll(cx).is_pending())).await);
    finish.send(()).unwrap();
    assert_eq!(
        (
            number(&first.await.unwrap()),
            number(&second.await.unwrap())
        ),
        (1.0, 1.0)
    );
}

#[tokio::test]
async fn waiters_try_again_when_an_execution_fails_or_is_dropped() {
    let cache = QueryCache::new(1 << 20);
    let failed = cache
        .get_or_execute(request(key("a"), 1), async { Err::<QueryResult, _>("no") })
        .await;
    assert_eq!(failed.unwrap_err(), "no");
    let mut dropped = Box::pin(cache.get_or_execute(
        request(key("a"), 1),
        std::future::pending::<Result<_, ()>>(),
    ));
    assert!(poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await);
    let mut waiting = pin!(ask(&cache, "a", 1, result(3.0, 1, b"a")));
    assert!(poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
    drop(dropped);
    assert_eq!(waiting.await, 3.0);
}

#[tokio::test]
async fn results_that_are_not_used_are_evicted_first() {
    let cache = QueryCache::new(8_000);
    for name in ["a", "b", "c", "d", "e", "f"] {
        ask(&cache, name, 1, result(1.0, 1, b"x")).await;
        ask(&cache, "a", 1, result(9.0, 1, b"x")).await;
    }
    let held = cache.stats();
    assert!(held.bytes <= 8_000 && held.entries >= 2, "{held:?}");
    for name in 0..100 {
        // The doorkeeper admits a key at its second request.
        for _ in 0..2 {
            ask(&cache, &name.to_string(), 1, result(1.0, 1, b"x")).await;
        }
        assert_eq!(
            ask(&cache, "a", 1, result(9.0, 1, b"x")).await,
            1.0,
            "a used result stays"
        );
    }
    assert!(cache.stats().bytes <= 8_000 && cache.stats().evictions > 0);
    let large = charged(QueryResult {
        log_lines: vec!["x".repeat(8_000)],
        ..result(1.0, 1, b"x")
    });
    ask(&cache, "large", 1, large).await;
    assert_eq!(
        ask(&cache, "large", 1, result(2.0, 1, b"x")).await,
        2.0,
        "a large result is not cached"
    );
}

#[tokio::test]
async fn a_key_that_is_requested_once_evicts_nothing() {
    let cache = QueryCache::new(8_000);
    for name in 0..100 {
        ask(&cache, &name.to_string(), 1, result(1.0, 1, b"x")).await;
    }
    let held = cache.stats();
    assert!(
        held.evictions == 0 && (2..100).contains(&held.entries),
        "{held:?}"
    );
    assert_eq!(
        ask(&cache, "0", 1, result(2.0, 1, b"x")).await,
        1.0,
        "the first results are still cached"
    );
    assert_eq!(
        ask(&cache, "99", 1, result(2.0, 1, b"x")).await,
        2.0,
        "the last result was not admitted"
    );
    assert_eq!(
        ask(&cache, "99", 1, result(3.0, 1, b"x")).await,
        2.0,
        "its second request was"
    );
    assert_eq!(cache.stats().evictions, 1);
}

#[tokio::test]
async fn a_key_consists_of_function_arguments_journal_and_visibility() {
    let cache = QueryCache::new(1 << 20);
    let args = |text: &str| Object::from([("a", text)]);
    let keys = [
        CacheKey::new("f", &args("1"), None, Visibility::Public),
        CacheKey::new("g", &args("1"), None, Visibility::Public),
        CacheKey::new("f", &args("2"), None, Visibility::Public),
        CacheKey::new("f", &args("1"), Some("j"), Visibility::Public),
        CacheKey::new("f", &args("1"), None, Visibility::Internal),
    ];
    for (at_ms, key) in keys.iter().enumerate() {
        let fresh = result(at_ms as f64, 1, b"a");
        let found = cache
            .get_or_execute(request(key.clone(), 1), async { Ok::<_, ()>(fresh) })
            .await
            .unwrap();
        assert_eq!(number(&found), at_ms as f64);
    }
}

#[tokio::test]
async fn all_users_share_a_result_until_an_execution_asks_for_its_user() {
    let cache = QueryCache::new(1 << 20);
    let ask = async |user: &str, value: f64, asks: bool| {
        let mut fresh = result(value, if asks { 2 } else { 1 }, b"a");
        if asks {
            fresh.read_set.note_identity();
        }
        let request = CacheRequest {
            user: user.into(),
            ..request(key("f"), 1)
        };
        number(
            &cache
                .get_or_execute(request, async { Ok::<_, ()>(fresh) })
                .await
                .unwrap(),
        )
    };
    assert_eq!(ask("ada", 1.0, false).await, 1.0);
    assert_eq!(
        ask("bob", 2.0, false).await,
        1.0,
        "no execution has asked for its user"
    );
    commit(&cache, 2, b"a");
    assert_eq!(ask("ada", 3.0, true).await, 3.0);
    assert_eq!(ask("bob", 4.0, true).await, 4.0, "each user has a result");
    assert_eq!(ask("ada", 5.0, true).await, 3.0);
}

#[tokio::test]
async fn a_waiter_does_not_accept_the_result_of_another_user() {
    let cache = QueryCache::new(1 << 20);
    let (go, wait) = oneshot::channel::<()>();
    let mut personal = result(1.0, 1, b"a");
    personal.read_set.note_identity();
    let slow = async {
        wait.await.unwrap();
        Ok::<_, ()>(personal)
    };
    let of = |user: &str| CacheRequest {
        user: user.into(),
        ..request(key("f"), 1)
    };
    let mut first = pin!(cache.get_or_execute(of("ada"), slow));
    assert!(poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
    let mut second =
        pin!(cache.get_or_execute(of("bob"), async { Ok::<_, ()>(result(2.0, 1, b"a")) }));
    assert!(poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_pending())).await);
    go.send(()).unwrap();
    assert_eq!(number(&first.await.unwrap()), 1.0);
    assert_eq!(number(&second.await.unwrap()), 2.0);
}
