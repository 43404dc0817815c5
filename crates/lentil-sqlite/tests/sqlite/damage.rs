//! Damaged files.
//!
//! Before documents had checksums, a read of a damaged document could return wrong values without
//! an error: SQLite checks the structure of a page, but not its content.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_store::conformance::support::{
    all, commit, declare, fill, foreign_task, index, task, tasks,
};
use lentil_store::{Order, Store, StoreError, StoredDocument};
use lentil_values::{DocumentId, FieldName, Interval};

use crate::{open, open_outside};

/// Returns a task with a text, so that a few tasks fill a page.
fn large_task(store: &dyn Store, which: u64, is_foreign: bool) -> Arc<StoredDocument> {
    let n = Some(which as i64);
    let mut task = match is_foreign {
        true => (*foreign_task(store, which, n)).clone(),
        false => (*task(store, which, n)).clone(),
    };
    let text = format!("text of {which} ").repeat(20);
    task.fields
        .insert(FieldName::from_static("text"), text.into());
    Arc::new(task)
}

/// Creates and closes a store with 60 native and 8 foreign tasks; returns the tasks.
async fn closed_store(folder: &Path) -> BTreeMap<DocumentId, Arc<StoredDocument>> {
    let store = open(folder, SqliteOptions::default()).await;
    let documents = (0..60).map(|which| large_task(&*store, which + 8, false));
    let foreign = (0..8).map(|which| large_task(&*store, which, true));
    let documents: Vec<_> = documents.chain(foreign).collect();
    let new = documents.iter().map(|new| (None, Some(Arc::clone(new))));
    commit(&*store, new).await;
    store.close().await.unwrap();
    documents
        .into_iter()
        .map(|document| (document.id, document))
        .collect()
}

fn is_damage(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::DamagedDocument(_) | StoreError::Corrupt(_) | StoreError::Failed(_)
    )
}

/// The number of failed reads of a damaged file.
#[derive(Default)]
struct Outcome {
    errors: usize,
    /// Documents that are not found. A read cannot know that they existed.
    lost: usize,
}

/// Reads all documents by id and by index. Each document that is read must be the one that was
/// written.
async fn read_all(
    store: &SqliteStore,
    documents: &BTreeMap<DocumentId, Arc<StoredDocument>>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut snapshot = store.snapshot().await.unwrap();
    for (id, document) in documents {
        match snapshot.get(*id).await {
            Ok(Some(found)) => assert_eq!(found, *document),
            Ok(None) => outcome.lost += 1,
            Err(error) => {
                assert!(is_damage(&error), "{error}");
                outcome.errors += 1;
            }
        }
    }
    for name in ["by_id", "by_creation_time", "by_n"] {
        let Some(index) = store.catalog().tables["tasks"].index_ref(name) else {
            continue;
        };
        match snapshot
            .scan(index, &Interval::all(), Order::Asc, 999)
            .await
        {
            Ok(rows) => {
                for row in &rows {
                    assert_eq!(Some(&row.document), documents.get(&row.document.id));
                }
                outcome.lost += documents.len().saturating_sub(rows.len());
            }
            Err(error) => {
                assert!(is_damage(&error), "{error}");
                outcome.errors += 1;
            }
        }
    }
    outcome
}

/// Returns the next pseudo-random number (SplitMix64).
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut random = *seed;
    random = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    random ^ (random >> 31)
}

#[tokio::test]
async fn flipped_bit_never_gives_a_wrong_document() {
    let folder = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let documents = closed_store(folder.path()).await;
    let file = "lentil.sqlite3";
    let intact = fs::read(folder.path().join(file)).unwrap();
    let mut seed = 1;
    let mut total = Outcome::default();
    let mut refused = 0;
    let mut found = 0;
    for _ in 0..300 {
        let bit = random(&mut seed) as usize % (intact.len() * 8);
        let mut damaged = intact.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(copy.path().join(file), damaged).unwrap();
        let Ok(store) = SqliteStore::open(copy.path(), SqliteOptions::default()) else {
            refused += 1;
            continue;
        };
        let outcome = read_all(&store, &documents).await;
        total.errors += outcome.errors;
        total.lost += outcome.lost;
        if outcome.errors + outcome.lost > 0 {
            let is_found = !store.verify().await.is_ok_and(|found| found.damaged == 0);
            assert!(
                is_found,
                "the verification does not find the flip of bit {bit}"
            );
            found += 1;
        }
        drop(store);
    }
    println!(
        "{refused} refused, {found} found, {} reads failed, {} found nothing",
        total.errors, total.lost
    );
    assert!(found > 100, "too few flips have hit a document or an entry");
}

#[tokio::test]
async fn damaged_document_is_named_and_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    fill(&*store, 0..10).await;
    let damaged = task(&*store, 4, Some(4)).id;
    store.close().await.unwrap();
    drop(store);
    let update = "UPDATE _documents_10001 SET json = replace(json, '\"which\"', '\"whicH\"') \
                  WHERE json ->> '$._id' = ?1";
    assert_eq!(
        open_outside(folder.path()).execute(update, [damaged.to_string()]),
        Ok(1)
    );

    let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    let by_n = index(&store, "by_n");
    for error in [
        snapshot.get(damaged).await.unwrap_err(),
        snapshot
            .scan(by_n, &Interval::all(), Order::Asc, 9)
            .await
            .unwrap_err(),
    ] {
        let StoreError::DamagedDocument(found) = error else {
            panic!("{error}");
        };
        assert_eq!((found.table.as_str(), found.id), ("tasks", Some(damaged)));
        let sentence = found.to_string();
        let hint =
            "set its checksum to NULL: UPDATE _documents_10001 SET checksum = NULL WHERE number = ";
        assert!(sentence.contains(hint), "{sentence}");
    }
    let first = snapshot
        .scan(by_n, &Interval::all(), Order::Asc, 4)
        .await
        .unwrap();
    assert_eq!(first.len(), 4);
    assert_eq!(
        snapshot.count(by_n, &Interval::all(), 99).await.unwrap(),
        10
    );
    let mut transaction = store.begin().await.unwrap();
    assert!(transaction.get(damaged).await.is_err());
    drop(transaction);
    fill(&store, 10..20).await;

    // The build of a new index fails at the damaged document.
    store.declare(&[tasks(&["n", "which"])]).await.unwrap();
    let failed = store.maintain(100).await.unwrap_err();
    assert!(matches!(failed, StoreError::DamagedDocument(_)), "{failed}");

    let found = store.verify().await.unwrap();
    assert_eq!(found.damaged, 1);
    assert!(
        found.findings[0].contains(&damaged.to_string()),
        "{found:?}"
    );

    // The statement in the error makes the document readable.
    let unset = "UPDATE _documents_10001 SET checksum = NULL WHERE json ->> '$._id' = ?1";
    assert_eq!(
        open_outside(folder.path()).execute(unset, [damaged.to_string()]),
        Ok(1)
    );
    let edited = store.snapshot().await.unwrap().get(damaged).await.unwrap();
    assert!(edited.unwrap().fields.get("whicH").is_some());
    declare(&store, &[tasks(&["n", "which"])]).await;
    assert_eq!(store.verify().await.unwrap().stamped, 1);
}

#[tokio::test]
async fn damaged_document_can_be_deleted_as_the_error_says() {
    let damages = ["replace(json, '\"which\"', '\"whicH\"')", "'{}'"];
    for (json, is_foreign) in damages
        .into_iter()
        .flat_map(|json| [(json, false), (json, true)])
    {
        let folder = tempfile::tempdir().unwrap();
        let documents = closed_store(folder.path()).await;
        let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
        let damaged = large_task(&store, if is_foreign { 3 } else { 30 }, is_foreign).id;
        let update =
            format!("UPDATE _documents_10001 SET json = {json} WHERE json ->> '$._id' = ?1");
        assert_eq!(
            open_outside(folder.path()).execute(&update, [damaged.to_string()]),
            Ok(1)
        );
        let error = store
            .snapshot()
            .await
            .unwrap()
            .get(damaged)
            .await
            .unwrap_err();
        let sentence = error.to_string();
        assert!(sentence.contains(&damaged.to_string()), "{sentence}");
        let (_, statements) = sentence.split_once("To delete the document: ").unwrap();
        drop(store);
        open_outside(folder.path())
            .execute_batch(statements)
            .unwrap();
        let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
        let mut snapshot = store.snapshot().await.unwrap();
        for name in ["by_id", "by_creation_time", "by_n"] {
            let left = all(&mut *snapshot, index(&store, name)).await.len();
            assert_eq!(left, documents.len() - 1, "{name}");
        }
        assert_eq!(store.verify().await.unwrap().damaged, 0);
    }
}

#[tokio::test]
async fn row_edited_by_hand_is_read_and_gets_a_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    fill(&*store, 0..3).await;
    let ids = [0, 1, 2].map(|which| task(&*store, which, None).id);
    let edit = |which: usize, json: &str| {
        let update =
            format!("UPDATE _documents_10001 SET json = {json}, checksum = NULL WHERE number = ?1");
        let number = (1_000.0 + which as f64).to_bits() as i64;
        assert_eq!(
            open_outside(folder.path()).execute(&update, [number]),
            Ok(1)
        );
    };
    edit(0, "json_set(json, '$.note', 'by hand')");
    edit(1, "json || ','");
    edit(2, "json_set(json, '$._creationTime', 5)");
    let mut snapshot = store.snapshot().await.unwrap();
    let edited = snapshot.get(ids[0]).await.unwrap().unwrap();
    assert_eq!(edited.fields.get("note").unwrap().as_str(), Some("by hand"));
    for id in &ids[1..] {
        let error = snapshot.get(*id).await.unwrap_err();
        assert!(matches!(error, StoreError::DamagedDocument(_)), "{error}");
    }
    let found = store.verify().await.unwrap();
    assert_eq!((found.stamped, found.damaged), (1, 2));
}

#[tokio::test]
async fn index_entries_and_documents_are_compared_both_ways() {
    let damages = [
        (
            "DELETE FROM _index_entries WHERE index_id = 1 AND key = \
             (SELECT max(key) FROM _index_entries WHERE index_id = 1)",
            "entry is missing",
        ),
        (
            "DELETE FROM _documents_10001 WHERE number = \
             (SELECT max(number) FROM _documents_10001)",
            "is of no document",
        ),
        (
            "INSERT INTO _index_entries VALUES (1, X'05')",
            "is of no document",
        ),
        (
            "UPDATE _index_entries SET key = CAST(X'1407' || substr(key, 3) AS BLOB) \
             WHERE index_id = 1 AND key = \
             (SELECT min(key) FROM _index_entries WHERE index_id = 1)",
            "is of no document",
        ),
        (
            "UPDATE _index_entries SET key = CAST(key AS TEXT) WHERE index_id = 1",
            "an entry is malformed",
        ),
        (
            "INSERT INTO _index_entries VALUES (77, X'0102')",
            "of an index that does not exist",
        ),
        (
            "DELETE FROM _index_entries WHERE index_id = -20002",
            "entry is missing",
        ),
        (
            "DELETE FROM _index_entries WHERE index_id = -20003",
            "entry is missing",
        ),
        (
            "DELETE FROM _documents_10001 WHERE number < -9223372036854775806",
            "is of no document",
        ),
    ];
    for (sql, what) in damages {
        let folder = tempfile::tempdir().unwrap();
        closed_store(folder.path()).await;
        let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
        let intact = store.verify().await.unwrap();
        assert_eq!(
            (intact.documents, intact.entries, intact.damaged),
            (68, 68 + 12, 0)
        );
        open_outside(folder.path()).execute(sql, []).unwrap();
        let found = store.verify().await.unwrap();
        let is_named = found.findings.iter().any(|finding| finding.contains(what));
        assert!(is_named, "{sql}: {found:?}");
    }
}

/// The verification writes checksums between batches. It must neither change a document that a
/// mutation has changed since, nor report one as damaged.
#[tokio::test]
async fn verifying_does_not_disturb_concurrent_writes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    fill(&*store, 0..1_000).await;
    store.close().await.unwrap();
    drop(store);
    open_outside(folder.path())
        .execute("UPDATE _documents_10001 SET checksum = NULL", [])
        .unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    let writing = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for which in 1_000..1_200 {
                fill(&*store, [which]).await;
                let old = task(&*store, which - 1_000, Some(which as i64 - 1_000));
                let new = task(&*store, which - 1_000, Some(7));
                commit(&*store, [(Some(old), Some(new))]).await;
            }
        })
    };
    while !writing.is_finished() {
        assert_eq!(store.verify().await.unwrap().damaged, 0);
    }
    writing.await.unwrap();
    let found = store.verify().await.unwrap();
    assert_eq!((found.documents, found.damaged), (1_200, 0));
    assert_eq!(store.verify().await.unwrap().stamped, 0);
    let by_n = index(&*store, "by_n");
    assert_eq!(
        all(&mut *store.snapshot().await.unwrap(), by_n).await.len(),
        1_200
    );
}

#[tokio::test]
async fn damaged_catalog_or_missing_table_is_refused() {
    let damages = [
        "UPDATE _meta SET value = replace(value, '\"tasks\"', '\"tasls\"') WHERE name = 'catalog'",
        "ALTER TABLE _documents_10001 RENAME TO _documents_10003",
    ];
    for sql in damages {
        let folder = tempfile::tempdir().unwrap();
        closed_store(folder.path()).await;
        open_outside(folder.path()).execute_batch(sql).unwrap();
        let refused = SqliteStore::open(folder.path(), SqliteOptions::default()).err();
        assert!(refused.is_some(), "{sql}");
    }
}

#[tokio::test]
async fn view_shows_foreign_documents_in_order_of_creation() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), SqliteOptions::default()).await;
    let documents = [
        task(&*store, 5, Some(1)),
        foreign_task(&*store, 2, Some(2)),
        task(&*store, 1, Some(3)),
        foreign_task(&*store, 6, Some(4)),
    ];
    for new in &documents {
        commit(&*store, [(None, Some(Arc::clone(new)))]).await;
    }
    let times: String = open_outside(folder.path())
        .query_row(
            "SELECT group_concat(json ->> '$._creationTime') FROM tasks",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(times, "1001.0,1002.0,1005.0,1006.0");
}
