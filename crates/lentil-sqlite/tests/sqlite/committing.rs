use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lentil_sqlite::SqliteOptions;
use lentil_store::conformance::support::{commit, declare, fill, index, task, tasks};
use lentil_store::{Order, Store, WriteBuffer, WriteSet};
use lentil_values::Interval;
use parking_lot::Mutex;

use crate::{Observes, eventually, look, open, shared, tasks_in_file};

#[tokio::test]
async fn a_commit_is_in_the_file_before_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    let path = folder.path().to_owned();
    let told = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&told);
    store.observe(Arc::new(Observes(move |_: &lentil_store::Commit| {
        let told = count.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(
            tasks_in_file(&path) >= told,
            "told before it was in the file"
        );
    })));
    for which in 0..10 {
        fill(&*store, [which]).await;
    }
    assert_eq!(told.load(Ordering::SeqCst), 10);
}

/// Commits this many at once, each by `change`; how many batches that made.
async fn batches_of(
    count: u64,
    change: impl Fn(&dyn Store, u64) -> lentil_store::WriteSet + Copy + Send + 'static,
) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    let published = Arc::new(Mutex::new(BTreeSet::new()));
    let (seen, of) = (Arc::clone(&published), Arc::downgrade(&store));
    store.observe(Arc::new(Observes(move |_: &lentil_store::Commit| {
        // What is published stays as it was until a whole batch is told.
        seen.lock()
            .extend(of.upgrade().map(|store| store.published()));
    })));
    let writes = (0..count).map(|which| {
        let store = shared(&store);
        tokio::spawn(async move {
            let transaction = store.begin().await.unwrap();
            let writes = change(&*store, which);
            transaction.commit(writes).await.unwrap();
        })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap();
    }
    published.lock().len()
}

#[tokio::test]
async fn mutations_side_by_side_share_their_fsync() {
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
async fn a_batch_does_not_wait_for_a_slow_function() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    let first = store.begin().await.unwrap();
    let second = {
        let store = shared(&store);
        tokio::spawn(async move { store.begin().await })
    };
    // The second is waiting, so that the first leaves the batch open for it to join.
    tokio::task::yield_now().await;
    let mut buffer = WriteBuffer::new(store.catalog());
    buffer.put(None, Some(task(&*store, 1, None)));
    let committed = first.commit(buffer.into_write_set());
    tokio::time::timeout(Duration::from_secs(10), committed)
        .await
        .expect("it does not wait")
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

#[tokio::test]
async fn a_commit_goes_on_without_the_one_who_asked_for_it() {
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
        look(folder.path())
            .query_row("SELECT count(*) FROM tasks", [], |row| row.get::<_, i64>(0))
            .unwrap()
            == 1
    })
    .await;
}

#[tokio::test]
async fn a_mutation_that_writes_nothing_leaves_nothing_open() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    fill(&*store, [1]).await;
    let index = index(&*store, "by_n");
    let is_free = || {
        look(folder.path())
            .execute_batch("BEGIN IMMEDIATE; ROLLBACK")
            .is_ok()
    };
    let other = look(folder.path());
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
        "it reads where it will write"
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
    eventually("what a dropped mutation has begun is ended", async || {
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
        let store = shared(&store);
        tokio::spawn(async move { declare(&*store, &[tasks(&["n", "which"])]).await })
    };
    // It waits for the turn when the mutation is dropped, so that nobody is idle.
    tokio::task::yield_now().await;
    drop(dropped);
    declared.await.unwrap();
    assert!(is_free());
}

#[tokio::test]
async fn a_person_can_read_the_documents() {
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
    let (id, creation_time, n) = look(folder.path()).query_row(read, [], row).unwrap();
    assert_eq!(
        (id, creation_time, n.as_str()),
        (one.id.to_string(), one.creation_time, "BQAAAAAAAAA=")
    );
}
