//! Tests of documents that were imported from another database, with any ids and creation times.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use lentil_values::{DocumentId, InternalId, Interval, successor};

use super::support::*;
use crate::batches::Batches;
use crate::clock::Clock;
use crate::document::StoredDocument;
use crate::index::{IndexRef, Order, Row};
use crate::store::{Snapshot, Store};

/// The expected documents of a store.
type Documents = BTreeMap<DocumentId, Arc<StoredDocument>>;

/// Documents with random ids and equal creation times are inserted, read, changed and deleted like
/// others.
pub async fn random_ids_with_equal_creation_times_are_stored<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let mut documents = Documents::new();
    let imported = (0..300).map(|which| random_task(store, which, f64::from(which as u8 % 3)));
    change(store, &mut documents, imported.map(|new| (None, Some(new)))).await;
    check(store, &documents).await;
    let changed = (0..300).step_by(2).map(|which| {
        let old = random_task(store, which, f64::from(which as u8 % 3));
        let mut new = (*old).clone();
        new.fields.insert(
            lentil_values::FieldName::from_static("n"),
            (which as i64 - 150).into(),
        );
        (Some(old), Some(Arc::new(new)))
    });
    change(store, &mut documents, changed.collect::<Vec<_>>()).await;
    check(store, &documents).await;
    let deleted: Vec<_> = documents.values().step_by(3).cloned().collect();
    change(
        store,
        &mut documents,
        deleted.into_iter().map(|old| (Some(old), None)),
    )
    .await;
    check(store, &documents).await;
    let all: Vec<_> = documents.values().cloned().collect();
    change(
        store,
        &mut documents,
        all.into_iter().map(|old| (Some(old), None)),
    )
    .await;
    check(store, &documents).await;
}

/// A table may have local documents, imported ones of the same creation times, and ids that contain
/// other times.
pub async fn local_and_imported_documents_share_a_table<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    for made_here_first in [true, false] {
        let mut documents = Documents::new();
        let here: Vec<_> = (0..8).map(|which| task(store, which, Some(1))).collect();
        let elsewhere: Vec<_> = (0..8)
            .map(|which| foreign_task(store, which, Some(which as i64)))
            .chain((0..8).map(|which| random_task(store, which, 1_004.0)))
            .collect();
        let (first, second) = if made_here_first {
            (here, elsewhere)
        } else {
            (elsewhere, here)
        };
        for new in [first, second] {
            change(
                store,
                &mut documents,
                new.into_iter().map(|new| (None, Some(new))),
            )
            .await;
            check(store, &documents).await;
        }
        // The id and the creation time of a deleted document can be used again.
        let again: Vec<_> = documents.values().cloned().collect();
        for document in again {
            change(store, &mut documents, [(Some(Arc::clone(&document)), None)]).await;
            check(store, &documents).await;
            change(store, &mut documents, [(None, Some(document))]).await;
        }
        check(store, &documents).await;
        let all: Vec<_> = documents.values().cloned().collect();
        change(
            store,
            &mut documents,
            all.into_iter().map(|old| (Some(old), None)),
        )
        .await;
    }
}

/// Creation times are ordered as numbers, including negative and infinite ones.
pub async fn any_creation_time_is_ordered<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let times = [
        f64::NEG_INFINITY,
        -1e300,
        -1.5,
        -0.0,
        0.0,
        f64::MIN_POSITIVE,
        1_700_000_000_000.25,
        1e300,
        f64::INFINITY,
    ];
    let mut documents = Documents::new();
    for (which, time) in (0..).zip(times) {
        let mut made_here = (*task(store, which, Some(1))).clone();
        made_here.creation_time = time;
        made_here.id.internal = InternalId::at(time, which);
        let news = [Arc::new(made_here), random_task(store, which, time)];
        change(store, &mut documents, news.map(|new| (None, Some(new)))).await;
    }
    check(store, &documents).await;
}

/// An update may change the creation time.
pub async fn a_document_may_change_its_creation_time<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let mut documents = Documents::new();
    for original in [task(store, 1, Some(1)), random_task(store, 2, 1_000.0)] {
        change(store, &mut documents, [(None, Some(Arc::clone(&original)))]).await;
        let mut before = Arc::clone(&original);
        for time in [5.0, 2_000.0, original.creation_time] {
            let mut now = (*before).clone();
            now.creation_time = time;
            let now = Arc::new(now);
            change(
                store,
                &mut documents,
                [(Some(before), Some(Arc::clone(&now)))],
            )
            .await;
            check(store, &documents).await;
            before = now;
        }
    }
}

/// A new index is built over imported documents too.
pub async fn an_index_is_built_over_imported_documents<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let mut documents = Documents::new();
    let news: Vec<_> = (0..20)
        .flat_map(|which| {
            [
                task(store, which, None),
                random_task(store, 100 + which, 7.0),
            ]
        })
        .collect();
    change(
        store,
        &mut documents,
        news.into_iter().map(|new| (None, Some(new))),
    )
    .await;
    store.declare(&[tasks(&["n", "which"])]).await.unwrap();
    while store.maintain(7).await.unwrap().is_some() {}
    let built = all(
        &mut *store.snapshot().await.unwrap(),
        index(store, "by_which"),
    )
    .await;
    assert!(built.into_iter().eq((0..20).chain(100..120)));
}

/// Makes an imported task with an id that depends on its number but looks random.
fn random_task(store: &dyn Store, which: u64, creation_time: f64) -> Arc<StoredDocument> {
    let mut random = which.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    random ^= random >> 29;
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random.to_be_bytes());
    id[8..].copy_from_slice(&random.wrapping_mul(31).to_be_bytes());
    let mut document = (*task(store, which, Some(which as i64 % 5))).clone();
    document.id.internal = InternalId(id);
    document.creation_time = creation_time;
    Arc::new(document)
}

/// Commits changes and applies them to the map.
async fn change(
    store: &dyn Store,
    documents: &mut Documents,
    changes: impl IntoIterator<Item = (Option<Arc<StoredDocument>>, Option<Arc<StoredDocument>>)>,
) {
    let changes: Vec<_> = changes.into_iter().collect();
    for (old, new) in &changes {
        if let Some(old) = old {
            documents.remove(&old.id);
        }
        if let Some(new) = new {
            documents.insert(new.id, Arc::clone(new));
        }
    }
    commit(store, changes).await;
}

/// Reads all documents by id, through each index in both orders, whole and in pages, and counts
/// them.
async fn check(store: &dyn Store, documents: &Documents) {
    let mut snapshot = store.snapshot().await.unwrap();
    for document in documents.values() {
        let found = snapshot.get(document.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(document));
    }
    let absent = random_task(store, 1_000_000, 1.0).id;
    assert_eq!(snapshot.get(absent).await.unwrap(), None);
    for name in ["by_id", "by_creation_time", "by_n"] {
        let index = index(store, name);
        let mut expected: Vec<Row> = Vec::new();
        for document in documents.values() {
            let keys = store.catalog().keys_of(document);
            let (_, key) = keys.into_iter().find(|(of, _)| *of == index).unwrap();
            let document = Arc::clone(document);
            expected.push(Row { key, document });
        }
        expected.sort_by(|a, b| a.key.cmp(&b.key));
        for page in [3, usize::MAX] {
            for order in [Order::Asc, Order::Desc] {
                let rows = pages(&mut *snapshot, index, order, page).await;
                assert_eq!(rows, expected, "{name} in pages of {page}");
                expected.reverse();
            }
        }
        for at in (0..expected.len()).step_by(1 + expected.len() / 20) {
            let key = expected[at].key.as_bytes();
            let mut short = key.to_vec();
            short.truncate(key.len() - 5);
            for bound in [key.to_vec(), successor(key), short] {
                check_parts(&mut *snapshot, index, &bound, &expected).await;
            }
        }
        let all = snapshot.count(index, &Interval::all(), usize::MAX).await;
        assert_eq!(all.unwrap(), documents.len(), "{name}");
    }
}

/// Reads and counts the documents below a bound and those from it on.
async fn check_parts(snapshot: &mut dyn Snapshot, index: IndexRef, bound: &[u8], rows: &[Row]) {
    let below = Interval {
        start: Vec::new(),
        end: Some(bound.to_vec()),
    };
    let from = Interval {
        start: bound.to_vec(),
        end: None,
    };
    for interval in [below, from] {
        let inside: Vec<Row> = rows
            .iter()
            .filter(|row| interval.contains(row.key.as_bytes()))
            .cloned()
            .collect();
        let found = snapshot
            .scan(index, &interval, Order::Asc, usize::MAX)
            .await;
        assert_eq!(found.unwrap(), inside, "{interval:?}");
        for limit in [1, 4, usize::MAX] {
            let counted = snapshot.count(index, &interval, limit).await.unwrap();
            assert_eq!(counted, inside.len().min(limit), "{interval:?} {limit}");
        }
    }
}

/// Scans an index page by page.
async fn pages(
    snapshot: &mut dyn Snapshot,
    index: IndexRef,
    order: Order,
    page: usize,
) -> Vec<Row> {
    let mut batches = Batches::new(index, Interval::all(), order, page);
    let mut rows = Vec::new();
    while let Some(batch) = batches.next(snapshot).await.unwrap() {
        rows.extend(batch);
    }
    rows
}
