use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lentil_sqlite::SqliteOptions;
use lentil_store::conformance::support::{all, fill, index};
use lentil_store::{Store, StoreError};
use parking_lot::Mutex;

use crate::{Observes, eventually, open, shared, wal_size};

#[tokio::test]
async fn an_old_snapshot_ends_so_that_the_log_can_be_reused() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        snapshot_max_age: Duration::from_millis(50),
        ..SqliteOptions::default()
    };
    let store = open(folder.path(), options).await;
    fill(&*store, [1]).await;
    let mut old = store.snapshot().await.unwrap();
    let by_n = index(&*store, "by_n");
    eventually("the snapshot has ended", async || {
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
async fn readers_wait_for_each_other_in_turn_and_not_for_ever() {
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
        let store = shared(&store);
        tokio::spawn(async move { store.snapshot().await.map(drop) })
    };
    tokio::task::yield_now().await;
    drop(first);
    waiting.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_bounded_under_writes_and_overlapping_snapshots() {
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
            let store = shared(&store);
            // Never all gone at once: each holds a snapshot while the others change theirs.
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
    readers.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(most < 24 << 20, "the log grew to {most} bytes");
    eventually(
        "the log begins anew when it is over its limit",
        async || {
            fill(&*store, [u64::from(rand_number())]).await;
            wal_size(folder.path()) <= 2 << 20
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_has_just_the_commits_up_to_its_timestamp() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    let by_n = index(&*store, "by_n");
    let committed = Arc::new(Mutex::new(Vec::new()));
    let commits = Arc::clone(&committed);
    store.observe(Arc::new(Observes(move |commit: &lentil_store::Commit| {
        commits.lock().push(commit.timestamp)
    })));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, done) = (shared(&store), Arc::clone(&done));
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
            assert_eq!(
                documents,
                committed
                    .iter()
                    .filter(|commit| **commit <= timestamp)
                    .count()
            );
        }
    }
}

/// A number that was not used before.
fn rand_number() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1_000_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
