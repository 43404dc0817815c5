//! The stores on which the isolation scripts run.

use std::sync::Arc;

use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_store::MemoryStore;
use lentil_store::conformance::support::{declare, tasks};
use lentil_store::conformance::{ManualClock, OptimisticStore, TestStore};

/// A new store of each kind, with its name and the table `tasks`.
pub(crate) async fn new_stores() -> Vec<(&'static str, TestStore)> {
    let clock = || Arc::new(ManualClock::at(1_000_000_000));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = SqliteOptions {
        clock: clock(),
        ..SqliteOptions::default()
    };
    let sqlite = SqliteStore::open(folder.path(), options).expect("a new store opens");
    let stores = vec![
        ("memory", TestStore::of(MemoryStore::new(clock()))),
        ("sqlite", TestStore::keeping(sqlite, folder)),
        ("optimistic", TestStore::of(OptimisticStore::new(clock()))),
    ];
    for (_, store) in &stores {
        declare(&*store.store, &[tasks(&["n"])]).await;
    }
    stores
}
