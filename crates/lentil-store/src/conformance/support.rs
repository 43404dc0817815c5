//! Helpers of the suite.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lentil_values::{
    DocumentId, FieldName, FieldPath, InternalId, Interval, Object, TableNumber, Value,
};
use parking_lot::Mutex;

use crate::buffer::WriteBuffer;
use crate::catalog::{IndexDeclaration, TableDeclaration};
use crate::clock::Clock;
use crate::document::StoredDocument;
use crate::index::{IndexRef, Order};
use crate::store::{Commit, CommitObserver, Snapshot, Store, Transaction};
use crate::timestamp::Timestamp;

/// A store under test, with a value that must live as long, such as its folder.
pub struct TestStore {
    /// The store.
    pub store: Arc<dyn Store>,
    _keep: Box<dyn Any + Send>,
}

impl TestStore {
    /// Makes a test store without such a value.
    pub fn of(store: impl Store) -> TestStore {
        TestStore::keeping(store, ())
    }

    /// Makes a test store that needs `keep`.
    pub fn keeping(store: impl Store, keep: impl Any + Send) -> TestStore {
        TestStore {
            store: Arc::new(store),
            _keep: Box::new(keep),
        }
    }
}

/// A clock that moves only by hand.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Makes a clock that shows this many nanoseconds.
    pub fn at(nanos: u64) -> ManualClock {
        ManualClock(Arc::new(AtomicU64::new(nanos)))
    }

    /// Sets the time in nanoseconds.
    pub fn set(&self, nanos: u64) {
        self.0.store(nanos, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

/// Makes a store with the table of [`tasks`], its clock at one second.
pub async fn open<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) -> (TestStore, ManualClock) {
    let clock = ManualClock::at(1_000_000_000);
    let made = make(Arc::new(clock.clone())).await;
    declare(&*made.store, &[tasks(&["n"])]).await;
    (made, clock)
}

/// Declares the table `tasks` with an index `by_<field>` over each of these fields.
pub fn tasks(fields: &[&str]) -> TableDeclaration {
    let index = |field: &&str| IndexDeclaration {
        name: format!("by_{field}"),
        fields: vec![FieldPath::parse(field).expect("a plain field")],
        unique: false,
    };
    TableDeclaration {
        name: "tasks".to_owned(),
        definition: "any".to_owned(),
        indexes: fields.iter().map(index).collect(),
    }
}

/// Declares the table `tasks` with one unique index, `by_n`.
pub fn unique_tasks() -> TableDeclaration {
    let mut table = tasks(&["n"]);
    table.indexes[0].unique = true;
    table
}

/// Declares tables and builds their indexes.
pub async fn declare(store: &dyn Store, tables: &[TableDeclaration]) {
    store.declare(tables).await.expect("tables can be declared");
    while store
        .maintain(100)
        .await
        .expect("indexes can be built")
        .is_some()
    {}
}

/// Returns an index of `tasks`.
pub fn index(store: &dyn Store, name: &str) -> IndexRef {
    store.catalog().tables["tasks"]
        .index_ref(name)
        .expect("the index is declared")
}

/// Returns the number of `tasks`.
pub fn table(store: &dyn Store) -> TableNumber {
    store.catalog().tables["tasks"].number
}

/// Makes the task `which`, created `which` milliseconds after second one, with or without `n`.
pub fn task(store: &dyn Store, which: u64, n: Option<i64>) -> Arc<StoredDocument> {
    let creation_time = 1_000.0 + which as f64;
    let id = DocumentId {
        table: table(store),
        internal: InternalId::at(creation_time, which),
    };
    let mut fields = Object::from([("which", Value::Int64(which as i64))]);
    if let Some(n) = n {
        fields.insert(FieldName::from_static("n"), Value::Int64(n));
    }
    Arc::new(StoredDocument {
        id,
        creation_time,
        fields,
    })
}

/// Makes a task with an id and a creation time of another database. The id does not contain the
/// creation time.
///
/// Two successive tasks have the same creation time. The ids are in no order, and some begin with
/// the creation time of a [`task`] or of another foreign task.
pub fn foreign_task(store: &dyn Store, which: u64, n: Option<i64>) -> Arc<StoredDocument> {
    let mut foreign = (*task(store, which, n)).clone();
    foreign.creation_time = 1_000.0 + (which / 2 * 2) as f64;
    foreign.id.internal = match which % 4 {
        // An id as it is created here for that time, which a `task` or another foreign task may
        // have.
        0 => InternalId::at(foreign.creation_time, u64::MAX - which),
        1 => InternalId::at(1_003.0, u64::MAX - which),
        2 => InternalId([which as u8; 16]),
        _ => InternalId([!which as u8; 16]),
    };
    Arc::new(foreign)
}

/// Commits changes, each from an old to a new document.
pub async fn commit(
    store: &dyn Store,
    changes: impl IntoIterator<Item = (Option<Arc<StoredDocument>>, Option<Arc<StoredDocument>>)>,
) -> Timestamp {
    let transaction = store.begin().await.expect("the write lock is free");
    let mut buffer = WriteBuffer::new(store.catalog());
    for (old, new) in changes {
        buffer.put(old, new);
    }
    transaction
        .commit(buffer.into_write_set())
        .await
        .expect("nothing conflicts")
}

/// Commits new tasks, each with its own number as `n`.
pub async fn fill(store: &dyn Store, which: impl IntoIterator<Item = u64>) {
    commit(
        store,
        which
            .into_iter()
            .map(|which| (None, Some(task(store, which, Some(which as i64))))),
    )
    .await;
}

/// Returns the numbers of the tasks in an index, in its order.
pub async fn all(snapshot: &mut dyn Snapshot, index: IndexRef) -> Vec<i64> {
    let rows = snapshot
        .scan(index, &Interval::all(), Order::Asc, usize::MAX)
        .await
        .expect("the index can be scanned");
    rows.iter().map(|row| which(&row.document)).collect()
}

/// Returns the number of a task.
pub fn which(document: &StoredDocument) -> i64 {
    document
        .fields
        .get("which")
        .and_then(Value::as_i64)
        .expect("every task has its number")
}

/// Returns the `n` of a task.
pub fn n(document: &StoredDocument) -> i64 {
    document
        .fields
        .get("n")
        .and_then(Value::as_i64)
        .expect("this task has an `n`")
}

/// Returns the view of a transaction.
pub fn view(transaction: &mut Box<dyn Transaction>) -> &mut dyn Snapshot {
    &mut **transaction
}

/// An observer that records each commit and the timestamp that was published at that moment.
#[derive(Default)]
pub struct Recorder {
    store: Mutex<Option<Arc<dyn Store>>>,
    commits: Mutex<Vec<(Timestamp, Commit)>>,
}

impl Recorder {
    /// Observes a store.
    pub fn of(made: &TestStore) -> Arc<Recorder> {
        let recorder = Arc::new(Recorder::default());
        *recorder.store.lock() = Some(Arc::clone(&made.store));
        made.store
            .observe(Arc::clone(&recorder) as Arc<dyn CommitObserver>);
        recorder
    }

    /// Returns the commits so far, each with the published timestamp.
    pub fn commits(&self) -> Vec<(Timestamp, Commit)> {
        self.commits.lock().clone()
    }

    /// Releases the store, because store and observer refer to each other.
    pub fn release(&self) {
        self.store.lock().take();
    }
}

impl CommitObserver for Recorder {
    fn committed(&self, commit: &Arc<Commit>) {
        let published = self
            .store
            .lock()
            .as_ref()
            .map(|store| store.published())
            .unwrap_or_default();
        self.commits.lock().push((published, Commit::clone(commit)));
    }

    fn everything_changed(&self, timestamp: Timestamp) {
        panic!(
            "only transactions have changed the store, but it reports other changes at {timestamp}"
        );
    }
}
