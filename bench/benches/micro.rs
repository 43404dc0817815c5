//! Micro-benchmarks of the steps of a request: `cargo bench -p lentil-bench`.

use std::hint::black_box;
use std::sync::{Arc, OnceLock};

use clonk_schema::Job;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use lentil::Document;
use lentil_bench::{body, fields};
use lentil_runtime::cache::{CacheKey, CacheRequest, QueryCache, QueryResult};
use lentil_runtime::memory::Charge;
use lentil_runtime::{ExecutionId, RequestId, Visibility};
use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_store::conflict::ReadSet;
use lentil_store::{
    Commit, CommitObserver, IndexDeclaration, IndexId, IndexRef, MemoryStore, Store,
    StoredDocument, SystemClock, TableDeclaration, Timestamp, WriteBuffer,
};
use lentil_values::{
    DocumentId, FieldPath, IndexKey, InternalId, Interval, JsonForm, KeyWriter, Object,
    TableNumber, Value, decode_key,
};
use tokio::runtime::Runtime;

/// The number of cached results.
const RESULTS: u64 = 10_000;
const INDEX: IndexRef = IndexRef::Declared(TableNumber::FIRST_USER, IndexId(1));

fn values(c: &mut Criterion) {
    let text = body(1);
    let value = Value::parse_json(text.as_bytes()).expect("the body is JSON");
    c.bench_function("values: a job is parsed", |b| {
        b.iter(|| Value::parse_json(black_box(text.as_bytes())))
    });
    c.bench_function("values: a job is printed", |b| {
        b.iter(|| black_box(&value).to_json(JsonForm::Encoded))
    });
}

fn keys(c: &mut Criterion) {
    let values = [
        Value::String("8c7f2d1e-0000-4000-8000-000000000001".into()),
        Value::Float64(1.5),
        Value::Int64(7),
    ];
    let encode = || {
        let mut key = KeyWriter::new();
        for value in &values {
            key.push(Some(value));
        }
        key.finish()
    };
    let key = encode();
    c.bench_function("key: three values are encoded", |b| b.iter(encode));
    c.bench_function("key: three values are decoded", |b| {
        b.iter(|| decode_key(black_box(key.as_bytes())))
    });
}

fn validation(c: &mut Criterion) {
    let (table, fields) = (Job::table(), fields(1));
    c.bench_function("validation: a job", |b| {
        b.iter(|| table.validate(black_box(&fields), &()))
    });
    c.bench_function("validation: a job becomes a struct and fields again", |b| {
        b.iter_batched(
            || fields.clone(),
            |fields| Job::from_fields(fields).map(Job::into_fields),
            BatchSize::SmallInput,
        );
    });
}

/// A store with the table `jobs`.
struct Jobs<S> {
    store: S,
    runtime: Runtime,
    next: u64,
}

impl<S: Store> Jobs<S> {
    fn new(store: S) -> Jobs<S> {
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a Tokio runtime starts");
        runtime.block_on(async {
            store
                .declare(&[table])
                .await
                .expect("a table can be declared");
            while store
                .maintain(100)
                .await
                .expect("an index can be built")
                .is_some()
            {}
        });
        Jobs {
            store,
            runtime,
            next: 0,
        }
    }

    fn insert(&mut self) -> Timestamp {
        self.next += 1;
        self.runtime.block_on(async {
            let transaction = self.store.begin().await.expect("nobody else writes");
            let catalog = self.store.catalog();
            let creation_time = 1_767_225_600_000.0 + self.next as f64 / 1e3;
            let internal = InternalId::at(creation_time, self.next);
            let id = DocumentId {
                table: catalog.tables["jobs"].number,
                internal,
            };
            let mut buffer = WriteBuffer::new(catalog);
            let document = StoredDocument {
                id,
                creation_time,
                fields: fields(self.next),
            };
            buffer.put(None, Some(Arc::new(document)));
            transaction
                .commit(buffer.into_write_set())
                .await
                .expect("nothing is in the way")
        })
    }
}

fn commits(c: &mut Criterion) {
    let mut memory = Jobs::new(MemoryStore::new(Arc::new(SystemClock)));
    c.bench_function("commit: a new job, in memory", |b| {
        b.iter(|| memory.insert())
    });
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("the target folder can be written to");
    let store =
        SqliteStore::open(folder.path(), SqliteOptions::default()).expect("a fresh store opens");
    let mut sqlite = Jobs::new(store);
    c.bench_function("commit: a new job, in SQLite, durable", |b| {
        b.iter(|| sqlite.insert())
    });
}

/// Makes a cache of results, each of which has read one key.
fn cache(runtime: &Runtime) -> QueryCache {
    let cache = QueryCache::new(1 << 30);
    for number in 0..RESULTS {
        insert(runtime, &cache, number, Timestamp::from_nanos(1));
    }
    cache
}

/// Computes the result of this number and caches it.
fn insert(runtime: &Runtime, cache: &QueryCache, number: u64, timestamp: Timestamp) {
    let mut read_set = ReadSet::default();
    read_set.add(INDEX, Interval::prefix(&number.to_be_bytes()));
    let result = QueryResult {
        result: Ok(Arc::new(Value::Float64(number as f64))),
        log_lines: Vec::new(),
        read_set,
        timestamp,
        journal: None,
        json: OnceLock::new(),
        charge: Charge::default(),
        request_id: RequestId::made(0),
        execution: ExecutionId::default(),
    };
    let execution = async { Ok::<_, ()>(result) };
    let cached = runtime.block_on(cache.get_or_execute(lookup(number), execution));
    cached.expect("the execution succeeds");
}

fn lookup(number: u64) -> CacheRequest<'static> {
    let args = Object::from([("number", number as f64)]);
    let key = CacheKey::new("jobs:get", &args, None, Visibility::Public);
    CacheRequest {
        key,
        user: "".into(),
        since: Timestamp::from_nanos(1),
        now_ms: 0.0,
        limit: None,
    }
}

fn cache_hits(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a Tokio runtime starts");
    let cache = cache(&runtime);
    let mut number = 0;
    c.bench_function("cache: a hit among 10,000 results", |b| {
        b.iter(|| {
            number = (number + 7) % RESULTS;
            let found = cache.get_or_execute(
                lookup(number),
                std::future::pending::<Result<QueryResult, ()>>(),
            );
            runtime.block_on(found)
        });
    });
}

fn invalidation(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a Tokio runtime starts");
    let cache = cache(&runtime);
    let commit = |nanos, number: u64| {
        let keys = vec![(
            INDEX,
            IndexKey::from_bytes([&number.to_be_bytes()[..], &[0; 16]].concat()),
        )];
        Arc::new(Commit {
            timestamp: Timestamp::from_nanos(nanos),
            keys,
        })
    };
    let mut nanos = 1;
    let mut next = |number| {
        nanos += 1;
        commit(nanos, number)
    };
    c.bench_function(
        "invalidation: a commit that invalidates none of 10,000 results",
        |b| {
            b.iter_batched(
                || next(RESULTS + 1),
                |commit| cache.committed(&commit),
                BatchSize::SmallInput,
            );
        },
    );
    let mut number = 0;
    c.bench_function(
        "invalidation: a commit that invalidates one of 10,000 results, which is computed again",
        |b| {
            b.iter(|| {
                number = (number + 7) % RESULTS;
                let commit = next(number);
                cache.committed(&commit);
                insert(&runtime, &cache, number, commit.timestamp);
            });
        },
    );
}

criterion_group!(
    micro,
    values,
    keys,
    validation,
    commits,
    cache_hits,
    invalidation
);
criterion_main!(micro);
