//! Opening a data folder: restarts, crashes, older formats, refusals.

use std::path::Path;
use std::sync::Arc;

use lentil_sqlite::{OpenError, SqliteOptions, SqliteStore};
use lentil_store::conformance::support::{ManualClock, all, fill, index, tasks};
use lentil_store::{Order, Store};
use lentil_values::{DocumentId, InternalId, Interval, TableNumber};

use crate::{open, open_outside, tasks_in_file};

#[tokio::test]
async fn reopened_store_has_its_documents_and_later_timestamps() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(5_000);
    let options = || SqliteOptions {
        clock: Arc::new(clock.clone()),
        ..SqliteOptions::default()
    };
    let store = open(folder.path(), options()).await;
    fill(&*store, 0..10).await;
    let before = store.published();
    store.close().await.unwrap();
    drop(store);
    clock.set(1);
    let store = open(folder.path(), options()).await;
    let begun = store.published();
    assert!(
        begun > before,
        "a start takes a later timestamp although the clock has gone back"
    );
    assert_eq!(
        all(
            &mut *store.snapshot().await.unwrap(),
            index(&*store, "by_n")
        )
        .await
        .len(),
        10
    );
    fill(&*store, [10]).await;
    assert!(store.published() > begun);
}

/// The file holds a timestamp lease, not the timestamp of the last commit. A start that continued
/// below a commit would show clients a time that goes back.
#[tokio::test]
async fn timestamps_after_a_crash_exceed_every_commit() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(5_000);
    let options = || SqliteOptions {
        clock: Arc::new(clock.clone()),
        ..SqliteOptions::default()
    };
    let store = open(folder.path(), options()).await;
    for now in [5_000, 5_001, 900_000_000, 1_900_000_000, 60_000_000_000] {
        clock.set(now);
        fill(&*store, [now]).await;
        // A server that is killed now leaves these files.
        let copy = tempfile::tempdir().unwrap();
        for file in ["lentil.sqlite3", "lentil.sqlite3-wal"] {
            std::fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
        }
        let killed = SqliteStore::open(copy.path(), options()).unwrap();
        let ahead = killed.published().as_nanos() - store.published().as_nanos();
        assert!((1..=1_000_000_001).contains(&ahead), "{ahead} ns ahead");
    }
}

#[tokio::test]
async fn index_build_continues_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    fill(&*store, 0..30).await;
    store.declare(&[tasks(&["n", "which"])]).await.unwrap();
    assert_eq!(store.maintain(10).await.unwrap().unwrap().done, 10);
    drop(store);
    let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
    assert_eq!(store.maintain(10).await.unwrap().unwrap().done, 20);
    while store.maintain(10).await.unwrap().is_some() {}
    let built = all(
        &mut *store.snapshot().await.unwrap(),
        index(&store, "by_which"),
    )
    .await;
    assert!(built.into_iter().eq(0..30));
}

/// Converts a file of tasks to format 1. The tasks' rowids order as their `n`.
const FORMAT_1: &str = "
    DROP VIEW tasks;
    CREATE TABLE _documents (
        table_number INTEGER NOT NULL, id BLOB NOT NULL, json TEXT NOT NULL, PRIMARY KEY (table_number, id)
    ) WITHOUT ROWID;
    INSERT INTO _documents SELECT 10001, substr(key, -16), json
        FROM (SELECT key, row_number() OVER (ORDER BY key) AS at FROM _index_entries)
        JOIN (SELECT json, row_number() OVER (ORDER BY number) AS at FROM _documents_10001) USING (at);
    DROP TABLE _documents_10001;
    CREATE VIEW tasks AS SELECT json ->> '$._id' AS _id, json FROM _documents WHERE table_number = 10001 ORDER BY id;
    CREATE VIEW of_a_person AS SELECT id FROM _documents;
    PRAGMA user_version = 1;
";

/// Converts a file of tasks to format 2.
const FORMAT_2: &str = "
    DROP VIEW tasks;
    CREATE TABLE _documents (number INTEGER PRIMARY KEY, json TEXT NOT NULL);
    INSERT INTO _documents SELECT row_number() OVER (ORDER BY number), json FROM _documents_10001;
    DROP TABLE _documents_10001;
    ALTER TABLE _index_entries RENAME TO new_entries;
    CREATE TABLE _index_entries (
        index_id INTEGER NOT NULL, key BLOB NOT NULL, document INTEGER NOT NULL, PRIMARY KEY (index_id, key)
    ) WITHOUT ROWID;
    INSERT INTO _index_entries SELECT index_id, key, row_number() OVER (ORDER BY key) FROM new_entries;
    INSERT INTO _index_entries SELECT -10001, substr(key, -16), document FROM _index_entries;
    DROP TABLE new_entries;
    CREATE VIEW tasks AS SELECT json ->> '$._id' AS _id, json
        FROM _index_entries CROSS JOIN _documents ON number = document WHERE index_id = -10001 ORDER BY key;
    CREATE VIEW of_a_person AS SELECT document FROM _index_entries;
    PRAGMA user_version = 2;
";

/// Adds a document with the creation time of another one to a file of format 1 or 2; returns its
/// id.
fn insert_twin(folder: &Path, table: &str) -> DocumentId {
    let creation_time = 1_001.0;
    let id = DocumentId {
        table: TableNumber::FIRST_USER,
        internal: InternalId::at(creation_time, u64::MAX),
    };
    let json = format!(r#"{{"_creationTime":{creation_time},"_id":"{id}"}}"#);
    let older = open_outside(folder);
    let key = id.internal.as_bytes();
    if table == "_documents" {
        let insert = "INSERT INTO _documents VALUES (10001, ?1, ?2)";
        older.execute(insert, (key, json)).unwrap();
    } else {
        let insert = "INSERT INTO _documents VALUES (1000, ?1)";
        older.execute(insert, [json]).unwrap();
        let insert = "INSERT INTO _index_entries VALUES (-10001, ?1, 1000)";
        older.execute(insert, [key]).unwrap();
    }
    id
}

#[tokio::test]
async fn older_format_is_rewritten_as_a_whole_or_refused() {
    // A row whose JSON contains another id. A file with such a row is refused.
    let twins = [
        (
            FORMAT_1,
            "_documents",
            "table_number, unhex(hex(substr(id, 1, 8)) || hex(zeroblob(8))), json",
            "id",
        ),
        (
            FORMAT_2,
            "_index_entries",
            "index_id, unhex(hex(substr(key, 1, 8)) || hex(zeroblob(8))), document",
            "key",
        ),
    ];
    for (format, table, twin, id) in twins {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), SqliteOptions::default()).await;
        fill(&*store, 1..31).await;
        let index = index(&*store, "by_n");
        let before = store
            .snapshot()
            .await
            .unwrap()
            .scan(index, &Interval::all(), Order::Desc, 99)
            .await
            .unwrap();
        store.close().await.unwrap();
        drop(store);
        open_outside(folder.path()).execute_batch(format).unwrap();
        let insert = format!("INSERT INTO {table} SELECT {twin} FROM {table} ORDER BY 1 LIMIT 1");
        assert_eq!(open_outside(folder.path()).execute(&insert, []), Ok(1));
        let refused = SqliteStore::open(folder.path(), SqliteOptions::default())
            .err()
            .unwrap();
        assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
        let delete = format!("DELETE FROM {table} WHERE substr({id}, 9) = zeroblob(8)");
        assert_eq!(open_outside(folder.path()).execute(&delete, []), Ok(1));
        let twin = insert_twin(folder.path(), table);

        let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
        let mut snapshot = store.snapshot().await.unwrap();
        assert_eq!(before.len(), 30);
        assert_eq!(
            snapshot
                .scan(index, &Interval::all(), Order::Desc, 99)
                .await
                .unwrap(),
            before
        );
        for row in &before {
            assert_eq!(
                snapshot.get(row.document.id).await.unwrap().as_ref(),
                Some(&row.document)
            );
        }
        assert!(snapshot.get(twin).await.unwrap().is_some());
        let count = |from| {
            open_outside(folder.path()).query_row(
                &format!("SELECT count(*) FROM {from}"),
                [],
                |row| row.get(0),
            )
        };
        assert_eq!(count("tasks"), Ok(31));
        assert_eq!(
            count("sqlite_schema WHERE name IN ('of_a_person', '_documents', '_old_entries')"),
            Ok(1)
        );
        drop(snapshot);
        fill(&store, 31..40).await;
        assert_eq!(count("tasks"), Ok(40));
        assert_eq!(
            store.verify().await.unwrap().damaged,
            1,
            "the twin has no index entry"
        );
        store.close().await.unwrap();
        drop(store);
        assert!(SqliteStore::open(folder.path(), SqliteOptions::default()).is_ok());
    }
}

/// Converts a file of tasks to format 3 or 4.
fn downgrade(folder: &Path, version: u32) {
    let older = open_outside(folder);
    let sql = "DROP VIEW tasks;
        ALTER TABLE _documents_10001 DROP COLUMN checksum;
        CREATE VIEW tasks AS SELECT json ->> '$._id' AS _id, json FROM _documents_10001 ORDER BY number;
        DELETE FROM _meta WHERE name = 'catalog_checksum'";
    older.execute_batch(sql).unwrap();
    older.pragma_update(None, "user_version", version).unwrap();
}

/// Counts the tasks that have a checksum in the file.
fn stamped(folder: &Path) -> u32 {
    let count = "SELECT count(checksum) FROM _documents_10001";
    open_outside(folder)
        .query_row(count, [], |row| row.get(0))
        .unwrap()
}

#[tokio::test]
async fn formats_3_and_4_get_checksums_and_a_copy_is_kept() {
    for version in [3, 4] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), SqliteOptions::default()).await;
        fill(&*store, 0..10).await;
        store.close().await.unwrap();
        drop(store);
        downgrade(folder.path(), version);
        let copy = folder.path().join(format!("format-{version}"));
        let store = open(folder.path(), SqliteOptions::default()).await;
        assert_eq!(stamped(folder.path()), 0);
        fill(&*store, 10..20).await;
        assert_eq!(
            (tasks_in_file(folder.path()), stamped(folder.path())),
            (20, 10)
        );
        let version_of = |folder: &Path| {
            open_outside(folder)
                .pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
                .unwrap()
        };
        assert_eq!((version_of(folder.path()), version_of(&copy)), (5, version));
        assert_eq!(tasks_in_file(&copy), 10);

        let published = store.published();
        let found = store.verify().await.unwrap();
        assert_eq!((found.documents, found.stamped, found.damaged), (20, 10, 0));
        assert_eq!(stamped(folder.path()), 20);
        assert_eq!(store.published(), published, "a checksum is not a commit");
        assert_eq!(store.verify().await.unwrap().stamped, 0);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap());
    open_outside(folder.path())
        .pragma_update(None, "user_version", 6)
        .unwrap();
    let refused = SqliteStore::open(folder.path(), SqliteOptions::default())
        .err()
        .unwrap();
    let sentence = "has format 6, and this version knows formats up to 5; use a newer version";
    assert!(refused.to_string().ends_with(sentence), "{refused}");
}

#[tokio::test]
async fn clock_far_behind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let hour = 3_600_000_000_000;
    let at = |nanos| SqliteOptions {
        clock: Arc::new(ManualClock::at(nanos)),
        ..SqliteOptions::default()
    };
    drop(SqliteStore::open(folder.path(), at(100 * hour)).unwrap());
    assert!(SqliteStore::open(folder.path(), at(77 * hour)).is_ok());
    let refused = SqliteStore::open(folder.path(), at(75 * hour))
        .err()
        .unwrap();
    assert!(
        matches!(refused, OpenError::ClockBehind { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn second_store_is_refused_and_readers_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), SqliteOptions::default()).await;
    fill(&*first, [1]).await;
    let refused = SqliteStore::open(folder.path(), SqliteOptions::default())
        .err()
        .unwrap();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    assert_eq!(
        open_outside(folder.path())
            .query_row("SELECT count(*) FROM tasks", [], |row| row.get::<_, i64>(0))
            .unwrap(),
        1
    );
    drop(first);
    SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
}

#[test]
fn unfinished_database_of_a_failed_start_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lentil.sqlite3.new"), "half a database").unwrap();
    SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
    assert!(!folder.path().join("lentil.sqlite3.new").exists());
}

#[test]
fn damaged_catalog_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap());
    open_outside(folder.path())
        .execute("UPDATE _meta SET value = '{' WHERE name = 'catalog'", [])
        .unwrap();
    let refused = SqliteStore::open(folder.path(), SqliteOptions::default())
        .err()
        .unwrap();
    assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
}
