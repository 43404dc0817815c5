//! Group commit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lentil_sqlite::SqliteOptions;
use lentil_store::conformance::support::{commit, declare, fill, index, task, tasks};
use lentil_store::{Order, Store, WriteBuffer, WriteSet};
use lentil_values::Interval;
use parking_lot::Mutex;

use crate::{OnCommit, as_store, eventually, open, open_outside, tasks_in_file};

#[tokio::test]
async fn commit_is_in_the_file_before_the_observer_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    let path = folder.path().to_owned();
    let observed = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&observed);
    store.observe(Arc::new(OnCommit(move |_: &lentil_store::Commit| {
        let observed = count.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(
            tasks_in_file(&path) >= observed,
            "the commit is not in the file"
        );
    })));
    for which in 0..10 {
        fill(&*store, [which]).await;
    }
    assert_eq!(observed.load(Ordering::SeqCst), 10);
}

/// Commits `count` write sets of `change` concurrently; returns the number of batches.
async fn batches_of(
    count: u64,
    change: impl Fn(&dyn Store, u64) -> lentil_store::WriteSet + Copy + Send + 'static,
) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    let published = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&published);
    // Weak, because the store owns the observer.
    let weak = Arc::downgrade(&store);
    store.observe(Arc::new(OnCommit(move |_: &lentil_store::Commit| {
        // The published timestamp advances once per batch, after the observer has seen the whole
        // batch.
        if let Some(store) = weak.upgrade() {
            seen.lock().insert(store.published());
        }
    })));
    let mut mutations = Vec::new();
    for which in 0..count {
        let store = as_store(&store);
        mutations.push(tokio::spawn(async move {
            let transaction = store.begin().await.unwrap();
            let writes = change(&*store, which);
            transaction.commit(writes).await.unwrap();
        }));
    }
    for mutation in mutations {
        mutation.await.unwrap();
    }
    published.lock().len()
}

#[tokio::test]
async fn concurrent_mutations_share_an_fsync() {
    let new_rows = |store: &dyn Store, which: u64| {
        let mut buffer = WriteBuffer::new(store.catalog());
        buffer.put(None, Some(task(store, which, None)));
        buffer.into_write_set()
    };
    let batches = batches_of(64, new_rows).await;
    assert!(batches <= 16, "64 commits took {batches} batches");
    let hot_row = |store: &dyn Store, which: u64| {
        let mut buffer = WriteBuffer::new(store.catalog());
        let at = |n: u64| task(store, 1, Some(n as i64));
        buffer.put(which.checked_sub(1).map(at), Some(at(which)));
        buffer.into_write_set()
    };
    let batches = batches_of(64, hot_row).await;
    assert!(
        batches <= 16,
        "64 commits of one document took {batches} batches"
    );
}

#[tokio::test]
async fn batch_does_not_wait_for_a_slow_function() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    let first = store.begin().await.unwrap();
    let second = {
        let store = as_store(&store);
        tokio::spawn(async move { store.begin().await })
    };
    // The second mutation is queued, so the first leaves the batch open.
    tokio::task::yield_now().await;
    let mut buffer = WriteBuffer::new(store.catalog());
    buffer.put(None, Some(task(&*store, 1, None)));
    let committed = first.commit(buffer.into_write_set());
    tokio::time::timeout(Duration::from_secs(10), committed)
        .await
        .expect("the batch closes at its age limit")
        .unwrap();
    let mut second = second.await.unwrap().unwrap();
    assert!(
        second
            .get(task(&*store, 1, None).id)
            .await
            .unwrap()
            .is_some()
    );
}

/// A caller is dropped when its client disconnects. The batch must close without it.
#[tokio::test]
async fn commit_completes_after_its_caller_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    let transaction = store.begin().await.unwrap();
    let mut buffer = WriteBuffer::new(store.catalog());
    buffer.put(None, Some(task(&*store, 1, None)));
    let mut commit = transaction.commit(buffer.into_write_set());
    let is_ready =
        std::future::poll_fn(|cx| std::task::Poll::Ready(commit.as_mut().poll(cx).is_ready()))
            .await;
    assert!(!is_ready, "a commit takes an fsync");
    drop(commit);
    eventually("the commit is in the file", async || {
        open_outside(folder.path())
            .query_row("SELECT count(*) FROM tasks", [], |row| row.get::<_, i64>(0))
            .unwrap()
            == 1
    })
    .await;
}

/// A mutation begins a SQLite transaction with its first read. If it writes nothing, that
/// transaction must end with it: an open one locks out other programs and delays maintenance.
#[tokio::test]
async fn mutation_without_writes_leaves_no_transaction_open() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    fill(&*store, [1]).await;
    let index = index(&*store, "by_n");
    let is_free = || {
        open_outside(folder.path())
            .execute_batch("BEGIN IMMEDIATE; ROLLBACK")
            .is_ok()
    };
    let other = open_outside(folder.path());
    other.busy_timeout(Duration::ZERO).unwrap();

    let mut transaction = store.begin().await.unwrap();
    assert_eq!(
        transaction.count(index, &Interval::all(), 9).await.unwrap(),
        1
    );
    let held = other.execute_batch("BEGIN IMMEDIATE").unwrap_err();
    assert_eq!(
        held.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy),
        "the mutation reads in the transaction in which it would write"
    );
    let timestamp = transaction.timestamp();
    assert_eq!(
        transaction.commit(WriteSet::empty()).await.unwrap(),
        timestamp
    );
    assert!(is_free());

    let mut dropped = store.begin().await.unwrap();
    assert_eq!(
        dropped
            .scan(index, &Interval::all(), Order::Asc, 9)
            .await
            .unwrap()
            .len(),
        1
    );
    drop(dropped);
    eventually("the transaction of a dropped mutation ends", async || {
        is_free()
    })
    .await;

    let mut dropped = store.begin().await.unwrap();
    assert!(
        dropped
            .get(task(&*store, 1, None).id)
            .await
            .unwrap()
            .is_some()
    );
    let declared = {
        let store = as_store(&store);
        tokio::spawn(async move { declare(&*store, &[tasks(&["n", "which"])]).await })
    };
    // The declaration is queued for the write lock when the mutation is dropped.
    tokio::task::yield_now().await;
    drop(dropped);
    declared.await.unwrap();
    assert!(is_free());
}

#[tokio::test]
async fn documents_are_readable_with_sqlite3() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    let one = task(&*store, 1, Some(5));
    commit(&*store, [(None, Some(Arc::clone(&one)))]).await;
    let read = "SELECT _id, json ->> '$._creationTime', json ->> '$.n.\"$integer\"' FROM tasks";
    let row = |row: &rusqlite::Row<'_>| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, f64>(1)?,
            row.get::<_, String>(2)?,
        ))
    };
    let (id, creation_time, n) = open_outside(folder.path())
        .query_row(read, [], row)
        .unwrap();
    assert_eq!(
        (id, creation_time, n.as_str()),
        (one.id.to_string(), one.creation_time, "BQAAAAAAAAA=")
    );
}
