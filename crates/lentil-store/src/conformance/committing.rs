//! Tests of transactions and of the order of commit, notification, publication and acknowledgement.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::support::*;
use crate::buffer::WriteBuffer;
use crate::clock::Clock;
use crate::error::StoreError;
use crate::store::Store;
use crate::write_set::WriteSet;

/// A dropped transaction leaves nothing and releases the write lock.
pub async fn a_dropped_transaction_leaves_nothing<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let mut dropped = store.begin().await.unwrap();
    let mut buffer = WriteBuffer::new(store.catalog());
    buffer.put(None, Some(task(store, 1, Some(1))));
    assert_eq!(all(view(&mut dropped), index(store, "by_n")).await, [0; 0]);
    drop((dropped, buffer));
    fill(store, [2]).await;
    assert_eq!(
        all(&mut *store.snapshot().await.unwrap(), index(store, "by_n")).await,
        [2]
    );
}

/// A transaction reads the writes of every earlier transaction.
pub async fn a_transaction_sees_every_earlier_commit<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    for count in 1..=20 {
        fill(store, [count]).await;
        let mut transaction = store.begin().await.unwrap();
        assert_eq!(
            all(view(&mut transaction), index(store, "by_n"))
                .await
                .len() as u64,
            count
        );
    }
}

/// Timestamps increase, whether the clock advances, stands still or goes back.
pub async fn timestamps_increase_when_the_clock_does_not<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, clock) = open(make).await;
    let store = &*made.store;
    let mut timestamps = vec![store.published()];
    for (which, nanos) in [
        (1, 2_000_000_000),
        (2, 2_000_000_000),
        (3, 5),
        (4, 3_000_000_000),
    ] {
        clock.set(nanos);
        timestamps.push(commit(store, [(None, Some(task(store, which, None)))]).await);
    }
    assert!(timestamps.is_sorted_by(|a, b| a < b), "{timestamps:?}");
    assert_eq!(
        (timestamps[1].as_nanos(), timestamps[4].as_nanos()),
        (2_000_000_000, 3_000_000_000)
    );
    assert_eq!(store.snapshot().await.unwrap().timestamp(), timestamps[4]);
}

/// An empty commit allocates no timestamp and returns only when earlier commits are published.
pub async fn an_empty_commit_allocates_no_timestamp<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let recorder = Recorder::of(&made);
    let transaction = store.begin().await.unwrap();
    let mut buffer = WriteBuffer::new(store.catalog());
    buffer.put(None, Some(task(store, 1, None)));
    let writes = buffer.into_write_set();
    let first = async { transaction.commit(writes).await.unwrap() };
    let second = async {
        // It begins when the first has released the write lock, perhaps before the first is
        // durable.
        let transaction = store.begin().await.unwrap();
        let timestamp = transaction.commit(WriteSet::empty()).await.unwrap();
        assert!(
            store.published() >= timestamp,
            "every commit that it may have read is published"
        );
        timestamp
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first, second);
    assert_eq!(recorder.commits().len(), 1);
    recorder.release();
}

/// The observer is notified of each commit once, in order, before the commit is published.
pub async fn the_observer_is_notified_once_in_order_before_publication<
    M: Future<Output = TestStore>,
>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let recorder = Recorder::of(&made);
    let writes = (0..32).map(|which| commit(store, [(None, Some(task(store, which, None)))]));
    let mut timestamps = join_all(writes.collect()).await;
    timestamps.sort_unstable();
    let commits = recorder.commits();
    assert!(
        commits
            .iter()
            .map(|(_, commit)| commit.timestamp)
            .eq(timestamps)
    );
    for (published, commit) in commits {
        assert!(
            published < commit.timestamp,
            "{published} was published before the observer was notified of {}",
            commit.timestamp
        );
    }
    recorder.release();
}

/// When `commit` returns, the commit is published, observed, and in every later snapshot.
pub async fn an_acknowledged_commit_is_published<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let recorder = Recorder::of(&made);
    let writes = (0..64).map(|which| async move {
        let timestamp = commit(store, [(None, Some(task(store, which, None)))]).await;
        assert!(store.published() >= timestamp);
        let mut snapshot = store.snapshot().await.unwrap();
        assert!(snapshot.timestamp() >= timestamp);
        assert!(
            snapshot
                .get(task(store, which, None).id)
                .await
                .unwrap()
                .is_some()
        );
        store.wait_published(timestamp).await.unwrap();
        timestamp
    });
    for timestamp in join_all(writes.collect()).await {
        assert!(
            recorder
                .commits()
                .iter()
                .any(|(_, commit)| commit.timestamp == timestamp)
        );
    }
    recorder.release();
}

/// A commit reports the old and the new entry of every index.
pub async fn a_commit_reports_old_and_new_keys<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let recorder = Recorder::of(&made);
    let (before, after) = (task(store, 1, Some(1)), task(store, 1, Some(2)));
    commit(store, [(None, Some(Arc::clone(&before)))]).await;
    commit(
        store,
        [(Some(Arc::clone(&before)), Some(Arc::clone(&after)))],
    )
    .await;
    let catalog = store.catalog();
    let (old, new) = (catalog.keys_of(&before), catalog.keys_of(&after));
    let commits = recorder.commits();
    assert!(old.iter().all(|entry| commits[0].1.keys.contains(entry)));
    assert!(
        old.iter()
            .chain(&new)
            .all(|entry| commits[1].1.keys.contains(entry))
    );
    let moved = |at: usize| {
        commits[at]
            .1
            .entries()
            .filter(|entry| entry.added_or_removed)
            .map(|entry| entry.index)
    };
    assert!(
        moved(0).eq(old.iter().map(|(index, _)| *index)),
        "an insert's entries are all new"
    );
    let by_n = index(store, "by_n");
    assert!(
        moved(1).eq([by_n, by_n]),
        "only the changed index has added and removed entries"
    );
    assert_eq!(commits[1].1.entries().count(), 4);
    recorder.release();
}

/// A commit whose future is dropped is applied whole and observed, or not at all.
pub async fn a_commit_with_a_dropped_caller_is_atomic<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let recorder = Recorder::of(&made);
    for which in (0..40).step_by(2) {
        let transaction = store.begin().await.unwrap();
        let mut buffer = WriteBuffer::new(store.catalog());
        buffer.put(None, Some(task(store, which, None)));
        buffer.put(None, Some(task(store, which + 1, None)));
        let mut commit = pin!(transaction.commit(buffer.into_write_set()));
        std::future::poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx).is_ready())).await;
    }
    // This commit is after those that reached the committer.
    let last = commit(store, [(None, Some(task(store, 100, None)))]).await;
    store.wait_published(last).await.unwrap();
    let there = all(&mut *store.snapshot().await.unwrap(), index(store, "by_id")).await;
    for pair in (0..40).step_by(2) {
        assert_eq!(
            there.contains(&pair),
            there.contains(&(pair + 1)),
            "half of {pair}"
        );
    }
    assert_eq!(
        recorder.commits().len(),
        there.len() / 2 + 1,
        "the observer was notified of each applied commit"
    );
    recorder.release();
}

/// Two hundred concurrent increments of one document are all kept.
pub async fn concurrent_increments_are_all_kept<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    fill(&*made.store, [0]).await;
    let increments = (0..200).map(|_| increment(&*made.store));
    join_all(increments.collect()).await;
    let id = task(&*made.store, 0, None).id;
    let counted = made
        .store
        .snapshot()
        .await
        .unwrap()
        .get(id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(n(&counted), 200);
}

async fn increment(store: &dyn Store) {
    loop {
        let mut transaction = store.begin().await.unwrap();
        let read = transaction.get(task(store, 0, None).id).await;
        let old = match read {
            Ok(old) => old.unwrap(),
            Err(StoreError::Conflict) => continue,
            Err(error) => panic!("{error}"),
        };
        let mut buffer = WriteBuffer::new(store.catalog());
        let new = task(store, 0, Some(n(&old) + 1));
        buffer.put(Some(old), Some(new));
        match transaction.commit(buffer.into_write_set()).await {
            Ok(_) => return,
            Err(error) if error.is_retryable() => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// An exclusive transaction commits at the first attempt, whatever others write meanwhile.
pub async fn an_exclusive_transaction_never_conflicts<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    fill(store, [0]).await;
    let exclusive = async {
        let mut transaction = store.begin_exclusive().await.unwrap();
        // The others get the chance to commit.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let old = transaction.get(task(store, 0, None).id).await.unwrap();
        let old = old.expect("the document exists");
        let mut buffer = WriteBuffer::new(store.catalog());
        let new = task(store, 0, Some(n(&old) + 1));
        buffer.put(Some(old), Some(new));
        transaction.commit(buffer.into_write_set()).await.unwrap();
    };
    let others = join_all((0..50).map(|_| increment(store)).collect());
    tokio::join!(exclusive, others);
    let mut snapshot = store.snapshot().await.unwrap();
    let counted = snapshot.get(task(store, 0, None).id).await.unwrap();
    assert_eq!(n(&counted.expect("the document exists")), 51);
}

/// `catch_up` returns a published timestamp at or after every acknowledged commit.
pub async fn catching_up_reaches_every_acknowledged_commit<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    for which in 0..10 {
        let acknowledged = commit(store, [(None, Some(task(store, which, None)))]).await;
        let caught_up = store.catch_up().await.unwrap();
        assert!(acknowledged <= caught_up && caught_up <= store.published());
    }
}

/// A transaction that waits too long for the write lock fails. Runs with paused time.
pub async fn waiting_too_long_for_the_write_lock_fails<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let holder = store.begin_exclusive().await.unwrap();
    let refused = store
        .begin_exclusive()
        .await
        .err()
        .expect("the write lock is held");
    assert!(matches!(refused, StoreError::Busy { .. }), "{refused}");
    drop(holder);
    store
        .begin_exclusive()
        .await
        .expect("the write lock is free again");
}

/// A closed store rejects later calls.
pub async fn a_closed_store_rejects_calls<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    fill(store, [1]).await;
    store.close().await.unwrap();
    assert!(matches!(
        store.begin().await.err(),
        Some(StoreError::Closed)
    ));
    assert!(matches!(
        store.snapshot().await.err(),
        Some(StoreError::Closed)
    ));
}

/// Runs futures concurrently in this task.
pub(super) async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures
        .into_iter()
        .map(|future| Some(Box::pin(future)))
        .collect();
    let mut done: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (slot, output) in running.iter_mut().zip(&mut done) {
            if let Some(future) = slot
                && let Poll::Ready(value) = future.as_mut().poll(cx)
            {
                (*slot, *output) = (None, Some(value));
            }
        }
        if running.iter().all(Option::is_none) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    done.into_iter()
        .map(|output| output.expect("every future has ended"))
        .collect()
}
