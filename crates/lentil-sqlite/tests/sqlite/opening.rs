use std::sync::Arc;

use lentil_sqlite::{OpenError, SqliteOptions, SqliteStore};
use lentil_store::Store;
use lentil_store::conformance::aids::{ManualClock, all, fill, index, tasks};

use crate::{look, open, timestamp_in_file};

#[tokio::test]
async fn what_was_written_is_there_again_and_time_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(5_000);
    let options = || SqliteOptions { clock: Arc::new(clock.clone()), ..SqliteOptions::default() };
    let store = open(folder.path(), options()).await;
    fill(&*store, 0..10).await;
    let before = store.published();
    store.close().await.unwrap();
    drop(store);
    clock.set(1);
    let store = open(folder.path(), options()).await;
    let begun = store.published();
    assert!(begun > before, "each start has a timestamp of its own, though the clock has gone back");
    assert_eq!(all(&mut *store.snapshot().await.unwrap(), index(&*store, "by_n")).await.len(), 10);
    fill(&*store, [10]).await;
    assert!(store.published() > begun);
    assert_eq!(timestamp_in_file(folder.path()), store.published().as_nanos());
}

#[tokio::test]
async fn building_an_index_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    fill(&*store, 0..30).await;
    store.declare(&[tasks(&["n", "which"])]).await.unwrap();
    assert_eq!(store.maintain(10).await.unwrap().unwrap().done, 10);
    drop(store);
    let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
    assert_eq!(store.maintain(10).await.unwrap().unwrap().done, 20);
    while store.maintain(10).await.unwrap().is_some() {}
    let built = all(&mut *store.snapshot().await.unwrap(), index(&store, "by_which")).await;
    assert!(built.into_iter().eq(0..30));
}

#[tokio::test]
async fn a_clock_that_is_far_behind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let hour = 3_600_000_000_000;
    let at = |nanos| SqliteOptions { clock: Arc::new(ManualClock::at(nanos)), ..SqliteOptions::default() };
    drop(SqliteStore::open(folder.path(), at(100 * hour)).unwrap());
    assert!(SqliteStore::open(folder.path(), at(77 * hour)).is_ok());
    let refused = SqliteStore::open(folder.path(), at(75 * hour)).err().unwrap();
    assert!(matches!(refused, OpenError::ClockBehind { .. }), "{refused}");
}

#[tokio::test]
async fn one_store_at_a_time_has_a_folder_and_others_may_look() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), SqliteOptions::default()).await;
    fill(&*first, [1]).await;
    let refused = SqliteStore::open(folder.path(), SqliteOptions::default()).err().unwrap();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    assert_eq!(look(folder.path()).query_row("SELECT count(*) FROM tasks", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    drop(first);
    SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
}

#[test]
fn what_a_start_that_failed_has_left_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lentil.sqlite3.new"), "half a database").unwrap();
    SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
    assert!(!folder.path().join("lentil.sqlite3.new").exists());
}

#[test]
fn a_damaged_catalog_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap());
    look(folder.path()).execute("UPDATE _meta SET value = '{' WHERE name = 'catalog'", []).unwrap();
    let refused = SqliteStore::open(folder.path(), SqliteOptions::default()).err().unwrap();
    assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
}
