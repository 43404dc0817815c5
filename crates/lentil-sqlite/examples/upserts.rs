//! Prints how many upserts per second the store commits. Each task waits until its upsert is
//! durable.
//!
//! `cargo run --release -p lentil-sqlite --example upserts [folder]`; the folder selects the disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_store::{
    IndexDeclaration, IndexRef, Order, Store, StoredDocument, TableDeclaration, WriteBuffer,
};
use lentil_values::{
    DocumentId, FieldName, FieldPath, InternalId, Interval, KeyWriter, Object, TableNumber, Value,
};

const RUN_TIME: Duration = Duration::from_secs(3);

/// A table of jobs with an index, and numbers for new jobs.
struct Jobs {
    store: SqliteStore,
    table: TableNumber,
    by_job_id: IndexRef,
    next: AtomicU64,
}

#[tokio::main]
async fn main() {
    let parent = std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    for tasks in [1, 16, 64, 256] {
        for is_hot in [false, true] {
            let folder = tempfile::tempdir_in(&parent).expect("the folder can be written to");
            let jobs = Arc::new(open(folder.path()).await);
            let done = run(&jobs, tasks, is_hot).await;
            let row = if is_hot { "one hot row" } else { "new rows" };
            println!(
                "{tasks:>4} tasks, {row:<12} {:>8.0} upserts/s",
                done as f64 / RUN_TIME.as_secs_f64()
            );
            jobs.store.close().await.expect("the store closes");
        }
    }
}

async fn open(folder: &std::path::Path) -> Jobs {
    let store = SqliteStore::open(folder, SqliteOptions::default()).expect("a fresh store opens");
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
    let entry = &catalog.tables["jobs"];
    let by_job_id = entry.index_ref("by_jobId").expect("it was declared");
    Jobs {
        store,
        table: entry.number,
        by_job_id,
        next: AtomicU64::new(0),
    }
}

/// Runs upserts in this many tasks; returns the number of upserts.
async fn run(jobs: &Arc<Jobs>, tasks: u64, is_hot: bool) -> u64 {
    let end = Instant::now() + RUN_TIME;
    let task = |_| {
        let jobs = Arc::clone(jobs);
        tokio::spawn(async move {
            let mut done = 0;
            while Instant::now() < end {
                let number = jobs.next.fetch_add(1, Ordering::Relaxed);
                jobs.upsert(if is_hot { 0 } else { number }, number).await;
                done += 1;
            }
            done
        })
    };
    let running: Vec<_> = (0..tasks).map(task).collect();
    let mut done = 0;
    for task in running {
        done += task.await.expect("the task ends");
    }
    done
}

impl Jobs {
    async fn upsert(&self, job: u64, number: u64) {
        let mut transaction = self
            .store
            .begin()
            .await
            .expect("the write lock is acquired in time");
        let job_id = Value::String(format!("8c7f2d1e-0000-4000-8000-{job:012}"));
        let mut prefix = KeyWriter::new();
        prefix.push(Some(&job_id));
        let found = Interval::prefix(prefix.as_bytes());
        let rows = transaction
            .scan(self.by_job_id, &found, Order::Asc, 2)
            .await
            .expect("the index can be read");
        let old = rows.into_iter().next().map(|row| row.document);
        let new = old
            .as_ref()
            .map_or_else(|| self.insert(job_id, number), |old| patch(old, number));
        let mut buffer = WriteBuffer::new(self.store.catalog());
        buffer.put(old, Some(Arc::new(new)));
        transaction
            .commit(buffer.into_write_set())
            .await
            .expect("the commit succeeds");
    }

    fn insert(&self, job_id: Value, number: u64) -> StoredDocument {
        let creation_time = 1_767_225_600_000.0 + number as f64;
        let id = DocumentId {
            table: self.table,
            internal: InternalId::at(creation_time, number),
        };
        let text = |text: &str| Value::String(text.to_owned());
        let fields = Object::from([
            ("jobId", job_id),
            ("idea", text("a game in which a clonk digs for gold")),
            ("username", text("somebody")),
            ("status", text("queued")),
            ("stage", text("classifying")),
            ("createdAt", Value::Float64(creation_time)),
        ]);
        StoredDocument {
            id,
            creation_time,
            fields,
        }
    }
}

fn patch(old: &StoredDocument, number: u64) -> StoredDocument {
    let mut new = old.clone();
    new.fields.insert(
        FieldName::from_static("stage"),
        Value::String(format!("stage {number}")),
    );
    new
}
