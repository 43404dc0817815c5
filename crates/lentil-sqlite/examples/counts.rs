//! Measures how long counting 100,000 entries of an index takes, and reading their documents.
//!
//! `cargo run --release -p lentil-sqlite --example counts`

use std::sync::Arc;
use std::time::{Duration, Instant};

use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_store::{
    IndexDeclaration, IndexRef, Order, Store, StoredDocument, TableDeclaration, WriteBuffer,
};
use lentil_values::{DocumentId, FieldPath, InternalId, Interval, Object, Value};

const DOCUMENTS: u64 = 100_000;
const BATCH: u64 = 10_000;
const RUNS: u32 = 10;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store =
        SqliteStore::open(folder.path(), SqliteOptions::default()).expect("a fresh store opens");
    let fields = vec![FieldPath::parse("jobId").expect("a plain field")];
    let indexes = vec![IndexDeclaration {
        name: "by_jobId".to_owned(),
        fields,
        unique: false,
    }];
    let table = TableDeclaration {
        name: "jobs".to_owned(),
        definition: "any".to_owned(),
        indexes,
    };
    let catalog = store
        .declare(&[table])
        .await
        .expect("a table can be declared");
    while store
        .maintain(100)
        .await
        .expect("an index can be built")
        .is_some()
    {}
    for first in (0..DOCUMENTS).step_by(BATCH as usize) {
        let transaction = store
            .begin()
            .await
            .expect("no other mutation holds the write lock");
        let mut buffer = WriteBuffer::new(store.catalog());
        for which in first..first + BATCH {
            let creation_time = which as f64;
            let id = DocumentId {
                table: catalog.tables["jobs"].number,
                internal: InternalId::at(creation_time, which),
            };
            let fields = Object::from([
                ("jobId", Value::from(format!("job {which}"))),
                ("status", "queued".into()),
                ("idea", "x".repeat(300).into()),
            ]);
            buffer.put(
                None,
                Some(Arc::new(StoredDocument {
                    id,
                    creation_time,
                    fields,
                })),
            );
        }
        transaction
            .commit(buffer.into_write_set())
            .await
            .expect("the commit succeeds");
    }
    for name in ["by_jobId", "by_creation_time"] {
        let index = catalog.tables["jobs"]
            .index_ref(name)
            .expect("the index exists");
        let counted = count(&store, index).await;
        let read = scan(&store, index).await;
        println!("{name:<17} count {counted:>8.1?}   documents {read:>8.1?}");
    }
    store.close().await.expect("the store closes");
}

/// Returns the average duration of a count.
async fn count(store: &SqliteStore, index: IndexRef) -> Duration {
    let mut snapshot = store.snapshot().await.expect("a connection is free");
    let began = Instant::now();
    for _ in 0..RUNS {
        let counted = snapshot
            .count(index, &Interval::all(), usize::MAX)
            .await
            .expect("the index can be read");
        assert_eq!(counted as u64, DOCUMENTS);
    }
    began.elapsed() / RUNS
}

/// Returns the average duration of reading all documents.
async fn scan(store: &SqliteStore, index: IndexRef) -> Duration {
    let mut snapshot = store.snapshot().await.expect("a connection is free");
    let began = Instant::now();
    for _ in 0..RUNS {
        let rows = snapshot
            .scan(index, &Interval::all(), Order::Asc, usize::MAX)
            .await
            .expect("the index can be read");
        assert_eq!(rows.len() as u64, DOCUMENTS);
    }
    began.elapsed() / RUNS
}
