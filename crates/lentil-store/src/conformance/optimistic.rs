//! A store with optimistic transactions, for tests of conflicts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use lentil_values::{DocumentId, Interval};
use parking_lot::Mutex;

use crate::catalog::{Catalog, TableDeclaration};
use crate::clock::Clock;
use crate::conflict::{ReadSet, RecentCommits};
use crate::document::StoredDocument;
use crate::error::{CommitError, StoreError};
use crate::index::{IndexRef, Order, Row};
use crate::memory::MemoryStore;
use crate::store::{Commit, CommitObserver, Progress, Snapshot, Store, Transaction};
use crate::timestamp::Timestamp;
use crate::write_set::WriteSet;

/// A store in memory whose transactions do not wait for each other: they execute on snapshots, and
/// a commit fails with [`CommitError::Conflict`] if another commit has changed what the transaction
/// read.
///
/// This is how transactions run on a store that several servers share.
pub struct OptimisticStore(Arc<OptimisticState>);

struct OptimisticState {
    memory: MemoryStore,
    log: Arc<CommitLog>,
    loses_connection: AtomicBool,
}

/// The recent commits, for validation, and the observer of the store.
#[derive(Default)]
struct CommitLog {
    recent: Mutex<RecentCommits>,
    observer: Mutex<Option<Arc<dyn CommitObserver>>>,
}

impl CommitObserver for CommitLog {
    fn committed(&self, commit: &Arc<Commit>) {
        self.recent.lock().add(commit);
        if let Some(observer) = &*self.observer.lock() {
            observer.committed(commit);
        }
    }

    fn everything_changed(&self, timestamp: Timestamp) {
        self.recent.lock().forget_all(timestamp);
        if let Some(observer) = &*self.observer.lock() {
            observer.everything_changed(timestamp);
        }
    }
}

impl OptimisticStore {
    /// Makes an empty store.
    pub fn new(clock: Arc<dyn Clock>) -> OptimisticStore {
        let memory = MemoryStore::new(clock);
        let log = Arc::new(CommitLog::default());
        memory.observe(Arc::clone(&log) as Arc<dyn CommitObserver>);
        OptimisticStore(Arc::new(OptimisticState {
            memory,
            log,
            loses_connection: AtomicBool::new(false),
        }))
    }

    /// Makes the next commit succeed but report [`CommitError::Unknown`], as if the connection
    /// broke.
    pub fn lose_connection_at_next_commit(&self) {
        self.0.loses_connection.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for OptimisticStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.0.memory.snapshot().await
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let snapshot = self.0.memory.snapshot().await?;
        Ok(Box::new(OptimisticTransaction {
            state: Arc::clone(&self.0),
            catalog: self.0.memory.catalog(),
            snapshot,
            reads: ReadSet::default(),
        }))
    }

    async fn begin_exclusive(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.0.memory.begin().await
    }

    fn observe(&self, observer: Arc<dyn CommitObserver>) {
        let replaced = self.0.log.observer.lock().replace(observer);
        assert!(replaced.is_none(), "a store has one observer");
    }

    fn published(&self) -> Timestamp {
        self.0.memory.published()
    }

    async fn wait_published(&self, timestamp: Timestamp) -> Result<(), StoreError> {
        self.0.memory.wait_published(timestamp).await
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.0.memory.catalog()
    }

    async fn declare(&self, tables: &[TableDeclaration]) -> Result<Arc<Catalog>, StoreError> {
        self.0.memory.declare(tables).await
    }

    async fn maintain(&self, batch: usize) -> Result<Option<Progress>, StoreError> {
        self.0.memory.maintain(batch).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.memory.close().await
    }
}

struct OptimisticTransaction {
    state: Arc<OptimisticState>,
    catalog: Arc<Catalog>,
    snapshot: Box<dyn Snapshot>,
    reads: ReadSet,
}

impl OptimisticTransaction {
    fn record_read(&mut self, id: DocumentId) {
        let key = Interval::prefix(id.internal.as_bytes());
        self.reads.add(IndexRef::ById(id.table), key);
    }
}

#[async_trait]
impl Snapshot for OptimisticTransaction {
    fn timestamp(&self) -> Timestamp {
        self.snapshot.timestamp()
    }

    async fn get(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError> {
        self.record_read(id);
        self.snapshot.get(id).await
    }

    async fn scan(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.reads.add(index, interval.clone());
        self.snapshot.scan(index, interval, order, limit).await
    }

    async fn count(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.reads.add_counted(index, interval.clone());
        self.snapshot.count(index, interval, limit).await
    }
}

#[async_trait]
impl Transaction for OptimisticTransaction {
    async fn commit(mut self: Box<Self>, writes: WriteSet) -> Result<Timestamp, CommitError> {
        let begun = self.snapshot.timestamp();
        if writes.is_empty() {
            return Ok(begun);
        }
        // A write replaces the state that the transaction saw, so it depends on that state.
        for write in &writes.writes {
            self.record_read(write.id);
        }

        // Under the write lock no other commit can come between validation and commit.
        let state = &self.state;
        let locked = state.memory.begin().await?;
        let is_valid = state.log.recent.lock().leave_valid(&self.reads, begun);
        if !is_valid || state.memory.catalog() != self.catalog {
            return Err(CommitError::Conflict);
        }
        let timestamp = locked.commit(writes).await?;
        if state.loses_connection.swap(false, Ordering::SeqCst) {
            let reason = "the connection broke".to_owned();
            return Err(CommitError::Unknown { reason });
        }
        Ok(timestamp)
    }
}
