//! Snapshots and the log that they keep from restarting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lentil_sqlite::SqliteOptions;
use lentil_store::conformance::support::{all, fill, index};
use lentil_store::{Store, StoreError};
use parking_lot::Mutex;

use crate::{OnCommit, as_store, eventually, open, wal_size};

#[tokio::test]
async fn old_snapshot_expires() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        snapshot_max_age: Duration::from_millis(50),
        ..SqliteOptions::default()
    };
    let store = open(folder.path(), options).await;
    fill(&*store, [1]).await;
    let mut old = store.snapshot().await.unwrap();
    let by_n = index(&*store, "by_n");
    eventually("the snapshot expires", async || {
        let read = old
            .scan(
                by_n,
                &lentil_values::Interval::all(),
                lentil_store::Order::Asc,
                1,
            )
            .await;
        matches!(read, Err(StoreError::SnapshotExpired))
    })
    .await;
    assert_eq!(all(&mut *store.snapshot().await.unwrap(), by_n).await, [1]);
}

#[tokio::test]
async fn readers_wait_in_order_with_a_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        readers: 1,
        max_wait: Duration::from_millis(100),
        ..SqliteOptions::default()
    };
    let store = open(folder.path(), options).await;
    let first = store.snapshot().await.unwrap();
    assert!(matches!(
        store.snapshot().await.err(),
        Some(StoreError::Busy { .. })
    ));
    let waiting = {
        let store = as_store(&store);
        tokio::spawn(async move { store.snapshot().await.map(drop) })
    };
    tokio::task::yield_now().await;
    drop(first);
    waiting.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_stays_bounded_under_writes_and_overlapping_snapshots() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        snapshot_max_age: Duration::from_millis(200),
        checkpoint_bytes: 64 << 10,
        wal_limit: 1 << 20,
        ..SqliteOptions::default()
    };
    let store = open(folder.path(), options).await;
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let store = as_store(&store);
            // The snapshots overlap, so that the log always has a reader.
            tokio::spawn(async move {
                loop {
                    let snapshot = store.snapshot().await.unwrap();
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    drop(snapshot);
                }
            })
        })
        .collect();
    let mut most = 0;
    for round in 0..400 {
        fill(&*store, round * 50..(round + 1) * 50).await;
        most = most.max(wal_size(folder.path()));
    }
    for reader in &readers {
        reader.abort();
    }
    assert!(most < 24 << 20, "the log grew to {most} bytes");
    eventually("a log above its limit restarts", async || {
        fill(&*store, [next_number()]).await;
        wal_size(folder.path()) <= 2 << 20
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_has_exactly_the_commits_up_to_its_timestamp() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    let by_n = index(&*store, "by_n");
    let committed = Arc::new(Mutex::new(Vec::new()));
    let commits = Arc::clone(&committed);
    store.observe(Arc::new(OnCommit(move |commit: &lentil_store::Commit| {
        commits.lock().push(commit.timestamp)
    })));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let store = as_store(&store);
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !done.load(Ordering::SeqCst) {
                    let mut snapshot = store.snapshot().await.unwrap();
                    seen.push((snapshot.timestamp(), all(&mut *snapshot, by_n).await.len()));
                }
                seen
            })
        })
        .collect();
    for which in 0..600 {
        fill(&*store, [which]).await;
    }
    done.store(true, Ordering::SeqCst);
    let committed = std::mem::take(&mut *committed.lock());
    for reader in readers {
        let seen = reader.await.unwrap();
        assert!(!seen.is_empty());
        for (timestamp, documents) in seen {
            let expected = committed.iter().filter(|commit| **commit <= timestamp);
            assert_eq!(documents, expected.count());
        }
    }
}

/// Returns a number that no document has yet.
fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1_000_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
