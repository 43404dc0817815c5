//! Tests of snapshots, scans and the write buffer.

use std::future::Future;
use std::sync::Arc;

use lentil_values::{IndexKey, Interval};

use super::support::*;
use crate::buffer::WriteBuffer;
use crate::clock::Clock;
use crate::index::Order;

/// A committed document is found by its id and in every index.
pub async fn committed_documents_are_read_back<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let (numbered, missing) = (task(store, 1, Some(7)), task(store, 2, None));
    commit(
        store,
        [
            (None, Some(Arc::clone(&numbered))),
            (None, Some(Arc::clone(&missing))),
        ],
    )
    .await;
    let mut snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.get(numbered.id).await.unwrap(), Some(numbered));
    assert_eq!(snapshot.get(missing.id).await.unwrap(), Some(missing));
    assert_eq!(snapshot.get(task(store, 3, None).id).await.unwrap(), None);
    assert_eq!(all(&mut *snapshot, index(store, "by_id")).await, [1, 2]);
    assert_eq!(
        all(&mut *snapshot, index(store, "by_creation_time")).await,
        [1, 2]
    );
    assert_eq!(
        all(&mut *snapshot, index(store, "by_n")).await,
        [2, 1],
        "a missing field sorts first"
    );
}

/// A snapshot shows the commits before it and no later ones.
pub async fn a_snapshot_does_not_change<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    fill(store, [1, 2]).await;
    let mut before = store.snapshot().await.unwrap();
    let one = task(store, 1, Some(1));
    commit(
        store,
        [(Some(one), None), (None, Some(task(store, 3, Some(3))))],
    )
    .await;
    assert_eq!(all(&mut *before, index(store, "by_n")).await, [1, 2]);
    let mut after = store.snapshot().await.unwrap();
    assert_eq!(all(&mut *after, index(store, "by_n")).await, [2, 3]);
    assert!(before.timestamp() < after.timestamp());
}

/// Each of 64 held snapshots keeps its state during commits and other reads.
pub async fn held_snapshots_do_not_change<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let mut held = Vec::new();
    for id in 1..=64 {
        fill(store, [id]).await;
        held.push(store.held_snapshot().await.unwrap());
    }
    let mut now = store.snapshot().await.unwrap();
    assert_eq!(all(&mut *now, index(store, "by_n")).await.len(), 64);
    for (at, snapshot) in held.iter_mut().enumerate() {
        let seen = all(&mut **snapshot, index(store, "by_n")).await;
        assert_eq!(seen.len(), at + 1);
    }
}

/// A snapshot is taken and read while a transaction holds the write lock.
pub async fn a_snapshot_does_not_wait_for_a_writer<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    fill(store, [1]).await;
    let writer = store.begin().await.unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    assert_eq!(all(&mut *snapshot, index(store, "by_n")).await, [1]);
    drop(writer);
}

/// A scan respects its half-open interval, its order and its limit, for all intervals between the
/// existing keys.
pub async fn a_scan_respects_interval_order_and_limit<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    fill(store, 1..=5).await;
    let mut snapshot = store.snapshot().await.unwrap();
    for name in ["by_id", "by_creation_time", "by_n"] {
        let index = index(store, name);
        let rows = snapshot
            .scan(index, &Interval::all(), Order::Asc, 9)
            .await
            .unwrap();
        let keys: Vec<IndexKey> = rows.iter().map(|row| row.key.clone()).collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
        let bounds: Vec<Option<Vec<u8>>> = [None]
            .into_iter()
            .chain(keys.iter().map(|key| Some(key.as_bytes().to_vec())))
            .collect();
        for start in &bounds {
            for end in &bounds {
                let interval = Interval {
                    start: start.clone().unwrap_or_default(),
                    end: end.clone(),
                };
                let inside: Vec<_> = rows
                    .iter()
                    .filter(|row| interval.contains(row.key.as_bytes()))
                    .cloned()
                    .collect();
                for limit in [0, 1, 2, 9] {
                    let ascending = snapshot
                        .scan(index, &interval, Order::Asc, limit)
                        .await
                        .unwrap();
                    assert!(
                        ascending.iter().eq(inside.iter().take(limit)),
                        "{name} {interval:?} up {limit}"
                    );
                    let descending = snapshot
                        .scan(index, &interval, Order::Desc, limit)
                        .await
                        .unwrap();
                    assert!(
                        descending.iter().eq(inside.iter().rev().take(limit)),
                        "{name} {interval:?} down {limit}"
                    );
                }
            }
        }
    }
}

/// A document whose indexed field has changed is found at its new key only.
pub async fn a_changed_key_replaces_the_old_entry<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    fill(store, 1..=3).await;
    commit(
        store,
        [(Some(task(store, 1, Some(1))), Some(task(store, 1, Some(9))))],
    )
    .await;
    commit(
        store,
        [(Some(task(store, 2, Some(2))), Some(task(store, 2, None)))],
    )
    .await;
    let mut snapshot = store.snapshot().await.unwrap();
    assert_eq!(all(&mut *snapshot, index(store, "by_n")).await, [2, 3, 1]);
    assert_eq!(all(&mut *snapshot, index(store, "by_id")).await, [1, 2, 3]);
}

/// A scan through the buffer applies inserts, changed keys and deletes, for every order and limit.
pub async fn the_buffer_shows_uncommitted_writes<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    fill(store, 1..=6).await;
    let mut transaction = store.begin().await.unwrap();
    let mut buffer = WriteBuffer::new(store.catalog());
    buffer.put(None, Some(task(store, 7, Some(0))));
    buffer.put(Some(task(store, 2, Some(2))), Some(task(store, 2, Some(8))));
    buffer.put(Some(task(store, 3, Some(3))), None);
    let by_n = index(store, "by_n");
    let expected = [7, 1, 4, 5, 6, 2];
    for limit in 0..8 {
        for (order, expected) in [(Order::Asc, expected), (Order::Desc, [2, 6, 5, 4, 1, 7])] {
            let scanned = buffer
                .scan(view(&mut transaction), by_n, &Interval::all(), order, limit)
                .await
                .unwrap();
            let found: Vec<i64> = scanned.iter().map(|row| which(&row.document)).collect();
            assert_eq!(found, expected[..limit.min(6)]);
        }
    }
    assert_eq!(
        all(view(&mut transaction), by_n).await,
        [1, 2, 3, 4, 5, 6],
        "the store has none of the writes yet"
    );
    transaction.commit(buffer.into_write_set()).await.unwrap();
    assert_eq!(
        all(&mut *store.snapshot().await.unwrap(), by_n).await,
        expected
    );
}

/// Rolling back a savepoint undoes its writes, including those of released nested savepoints, and
/// no others.
pub async fn savepoints_are_released_or_rolled_back<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    fill(store, [1]).await;
    let (mut transaction, by_n) = (store.begin().await.unwrap(), index(store, "by_n"));
    let mut buffer = WriteBuffer::new(store.catalog());
    buffer.put(None, Some(task(store, 2, Some(2))));
    buffer.begin_savepoint();
    buffer.put(Some(task(store, 2, Some(2))), None);
    buffer.begin_savepoint();
    buffer.put(None, Some(task(store, 3, Some(3))));
    buffer.put(Some(task(store, 1, Some(1))), Some(task(store, 1, Some(9))));
    buffer.release_savepoint();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let rows = buffer
            .scan(
                view(&mut transaction),
                by_n,
                &Interval::all(),
                Order::Asc,
                9,
            )
            .await
            .unwrap();
        seen.push(
            rows.iter()
                .map(|row| which(&row.document))
                .collect::<Vec<_>>(),
        );
        if seen.len() == 1 {
            buffer.roll_back_savepoint();
        }
    }
    assert_eq!(seen, [vec![3, 1], vec![1, 2]]);
    transaction.commit(buffer.into_write_set()).await.unwrap();
    assert_eq!(
        all(&mut *store.snapshot().await.unwrap(), by_n).await,
        [1, 2]
    );
}
