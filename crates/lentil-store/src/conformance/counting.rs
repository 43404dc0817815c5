//! Tests of counting index entries.

use std::future::Future;
use std::sync::Arc;

use lentil_values::Interval;

use super::support::*;
use crate::buffer::WriteBuffer;
use crate::clock::Clock;
use crate::index::Order;
use crate::unique::key_prefix;

/// A count is the number of rows of a scan with the same interval and limit.
pub async fn a_count_respects_interval_and_limit<M: Future<Output = TestStore>>(
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
        let keys = rows.iter().map(|row| Some(row.key.as_bytes().to_vec()));
        let bounds: Vec<Option<Vec<u8>>> = [None].into_iter().chain(keys).collect();
        for (start, end) in bounds
            .iter()
            .flat_map(|start| bounds.iter().map(move |end| (start, end)))
        {
            let interval = Interval {
                start: start.clone().unwrap_or_default(),
                end: end.clone(),
            };
            let inside = rows
                .iter()
                .filter(|row| interval.contains(row.key.as_bytes()))
                .count();
            for limit in [0, 1, 2, 9, usize::MAX] {
                let counted = snapshot.count(index, &interval, limit).await.unwrap();
                assert_eq!(counted, inside.min(limit), "{name} {interval:?} {limit}");
            }
        }
    }
}

/// A count of thousands is exact for every limit, also if the store moves it to another thread.
pub async fn a_long_count_is_exact<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    fill(store, 0..3_000).await;
    let mut snapshot = store.snapshot().await.unwrap();
    let mut transaction = store.begin().await.unwrap();
    for name in ["by_id", "by_creation_time", "by_n"] {
        let index = index(store, name);
        for (limit, expected) in [
            (usize::MAX, 3_000),
            (3_001, 3_000),
            (3_000, 3_000),
            (2_999, 2_999),
            (100, 100),
        ] {
            assert_eq!(
                snapshot
                    .count(index, &Interval::all(), limit)
                    .await
                    .unwrap(),
                expected,
                "{name}"
            );
            assert_eq!(
                transaction
                    .count(index, &Interval::all(), limit)
                    .await
                    .unwrap(),
                expected,
                "{name}"
            );
        }
    }
}

/// A count through the buffer includes inserts, changed keys, changes in place and deletes.
pub async fn the_buffer_counts_uncommitted_writes<M: Future<Output = TestStore>>(
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
    buffer.put(None, Some(task(store, 8, Some(5))));
    buffer.put(Some(task(store, 8, Some(5))), None);
    let mut changed = (*task(store, 4, Some(4))).clone();
    changed
        .fields
        .insert(lentil_values::FieldName::from_static("note"), "x".into());
    buffer.put(Some(task(store, 4, Some(4))), Some(Arc::new(changed)));
    for name in ["by_id", "by_creation_time", "by_n"] {
        let index = index(store, name);
        for limit in 0..8 {
            let counted = buffer
                .count(view(&mut transaction), index, &Interval::all(), limit)
                .await
                .unwrap();
            assert_eq!(counted, limit.min(6), "{name}");
        }
    }
    let by_n = index(store, "by_n");
    let fields = store.catalog().tables["tasks"]
        .index("by_n")
        .unwrap()
        .fields
        .clone();
    let at = |n| Interval::prefix(&key_prefix(&fields, &task(store, 0, Some(n))));
    for (n, expected) in [(0, 1), (1, 1), (2, 0), (3, 0), (4, 1), (8, 1)] {
        let counted = buffer
            .count(view(&mut transaction), by_n, &at(n), 9)
            .await
            .unwrap();
        assert_eq!(counted, expected, "{n}");
    }
}
