//! Changes of the database by other programs while the store is open.

use std::sync::Arc;
use std::time::Duration;

use lentil_sqlite::SqliteOptions;
use lentil_store::conformance::support::{all, fill, index};
use lentil_store::{Commit, CommitObserver, Store, StoreError, Timestamp};
use parking_lot::Mutex;

use crate::{eventually, open, open_outside};

/// Records the timestamps at which everything changed.
#[derive(Default)]
struct Changes(Mutex<Vec<Timestamp>>);

impl CommitObserver for Changes {
    fn committed(&self, _: &Arc<Commit>) {}

    fn everything_changed(&self, timestamp: Timestamp) {
        self.0.lock().push(timestamp);
    }
}

/// Only commits of the store invalidated cached results, so after a change with `sqlite3` queries
/// returned stale results without end.
#[tokio::test]
async fn change_by_another_program_is_found_without_commits() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    let changes = Arc::new(Changes::default());
    store.observe(Arc::clone(&changes) as Arc<dyn CommitObserver>);
    fill(&*store, 0..5).await;
    // A returned snapshot stays open for reuse.
    drop(store.snapshot().await.unwrap());
    let before = store.published();

    open_outside(folder.path())
        .execute(
            "DELETE FROM _index_entries WHERE key IN (SELECT max(key) FROM _index_entries)",
            [],
        )
        .unwrap();
    eventually("the change is found", async || store.published() > before).await;
    let timestamp = store.published();
    assert_eq!(*changes.0.lock(), [timestamp]);
    let mut snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.timestamp(), timestamp);
    let found = all(&mut *snapshot, index(&*store, "by_n")).await;
    assert_eq!(found.len(), 4);

    // The store's own commits are no outside changes, and neither is a read by another program.
    fill(&*store, 5..10).await;
    open_outside(folder.path())
        .query_row("SELECT count(*) FROM tasks", [], |row| row.get::<_, i64>(0))
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(changes.0.lock().len(), 1);
    assert!(store.published() > timestamp);
}

/// BEGIN must not wait on a tokio worker, so the store polls for the lock instead, with a timeout.
#[tokio::test]
async fn mutation_is_refused_while_another_program_writes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    fill(&*store, 0..5).await;
    let mut transaction = store.begin().await.unwrap();
    let index = index(&*store, "by_n");
    assert_eq!(all(&mut *transaction, index).await.len(), 5);
    let other = open_outside(folder.path());
    other.busy_timeout(Duration::ZERO).unwrap();
    assert!(
        other.execute_batch("BEGIN IMMEDIATE").is_err(),
        "the batch is open"
    );
    drop(transaction);

    other.busy_timeout(Duration::from_secs(5)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = store.begin().await.err().unwrap();
    assert!(matches!(refused, StoreError::Busy { .. }), "{refused}");
    other.execute_batch("COMMIT").unwrap();
    assert!(
        store.begin().await.is_ok(),
        "mutations continue after the other program has committed"
    );
}
