//! Tests of what only the SQLite store does. The conformance suite tests the rest.

mod committing;
mod damage;
mod opening;
mod outside;
mod snapshots;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_store::Store;
use lentil_store::conformance::support::{declare, tasks};

/// Opens a store in a folder, with the table `tasks`.
async fn open(folder: &Path, options: SqliteOptions) -> Arc<SqliteStore> {
    let store = SqliteStore::open(folder, options).unwrap();
    declare(&store, &[tasks(&["n"])]).await;
    Arc::new(store)
}

/// Opens the database as another program would.
fn open_outside(folder: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.join("lentil.sqlite3")).unwrap()
}

/// Waits until a condition holds, for at most 15 seconds.
async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !condition().await {
        assert!(Instant::now() < deadline, "timeout: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Returns the size of the write-ahead log in bytes.
fn wal_size(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("lentil.sqlite3-wal")).map_or(0, |metadata| metadata.len())
}

/// Counts the documents of the table `tasks` in the file.
fn tasks_in_file(folder: &Path) -> u32 {
    open_outside(folder)
        .query_row("SELECT count(*) FROM tasks", [], |row| row.get(0))
        .unwrap()
}

/// An observer that calls a closure with each commit.
struct OnCommit<F>(F);

impl<F: Fn(&lentil_store::Commit) + Send + Sync + 'static> lentil_store::CommitObserver
    for OnCommit<F>
{
    fn committed(&self, commit: &Arc<lentil_store::Commit>) {
        (self.0)(commit);
    }

    fn everything_changed(&self, _: lentil_store::Timestamp) {}
}

/// Returns the store in the type that the helpers of the conformance suite take.
fn as_store(store: &Arc<SqliteStore>) -> Arc<dyn Store> {
    Arc::clone(store) as Arc<dyn Store>
}
