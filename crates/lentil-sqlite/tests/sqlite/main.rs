//! What is SQLite's own: beyond the suite that every store passes.

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

/// A store in a folder of its own, with the table `tasks`.
async fn open(folder: &Path, options: SqliteOptions) -> Arc<SqliteStore> {
    let store = SqliteStore::open(folder, options).unwrap();
    declare(&store, &[tasks(&["n"])]).await;
    Arc::new(store)
}

/// Looks at the file as another program would.
fn look(folder: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.join("lentil.sqlite3")).unwrap()
}

/// Asks again and again until it is so, for a quarter of a minute at most.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !is_so().await {
        assert!(Instant::now() < deadline, "this never came to be: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The bytes of the write-ahead log.
fn wal_size(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("lentil.sqlite3-wal")).map_or(0, |metadata| metadata.len())
}

/// How many documents the table `tasks` has in the file.
fn tasks_in_file(folder: &Path) -> u32 {
    look(folder)
        .query_row("SELECT count(*) FROM tasks", [], |row| row.get(0))
        .unwrap()
}

/// An observer that runs a closure.
struct Observes<F>(F);

impl<F: Fn(&lentil_store::Commit) + Send + Sync + 'static> lentil_store::CommitObserver
    for Observes<F>
{
    fn committed(&self, commit: &Arc<lentil_store::Commit>) {
        (self.0)(commit);
    }

    fn everything_changed(&self, _: lentil_store::Timestamp) {}
}

/// The store as the suite's functions take it.
fn shared(store: &Arc<SqliteStore>) -> Arc<dyn Store> {
    Arc::clone(store) as Arc<dyn Store>
}
