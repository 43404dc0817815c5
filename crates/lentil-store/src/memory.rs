use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use lentil_values::{DocumentId, IndexKey, Interval};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::catalog::{Catalog, IndexState, TableDeclaration};
use crate::clock::Clock;
use crate::document::StoredDocument;
use crate::error::{CommitError, StoreError};
use crate::index::{IndexRef, Order, Row};
use crate::store::{Commit, CommitObserver, Progress, Snapshot, Store, Transaction};
use crate::timestamp::Timestamp;
use crate::write_set::WriteSet;

/// The time that a transaction waits for the write lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// A store in memory: the model with which the other stores are compared. Tests of functions run on
/// it.
///
/// Snapshots share the data. A commit copies it if a snapshot still reads it.
pub struct MemoryStore(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    write_lock: Arc<Semaphore>,
    state: Mutex<MemoryState>,
    published: watch::Sender<Timestamp>,
    observer: OnceLock<Arc<dyn CommitObserver>>,
}

struct MemoryState {
    data: Arc<Data>,
    catalog: Arc<Catalog>,
    /// The number of documents that are in the index that is being built.
    built: usize,
}

#[derive(Clone, Default)]
struct Data {
    timestamp: Timestamp,
    indexes: BTreeMap<IndexRef, BTreeMap<IndexKey, Arc<StoredDocument>>>,
}

impl MemoryStore {
    /// Makes an empty store.
    pub fn new(clock: Arc<dyn Clock>) -> MemoryStore {
        let timestamp = Timestamp::MIN.next(clock.now());
        let data = Data {
            timestamp,
            indexes: BTreeMap::new(),
        };
        let state = MemoryState {
            data: Arc::new(data),
            catalog: Arc::default(),
            built: 0,
        };
        MemoryStore(Arc::new(Shared {
            clock,
            write_lock: Arc::new(Semaphore::new(1)),
            state: Mutex::new(state),
            published: watch::Sender::new(timestamp),
            observer: OnceLock::new(),
        }))
    }
}

impl Data {
    fn get(&self, id: DocumentId) -> Option<Arc<StoredDocument>> {
        let by_id = self.indexes.get(&IndexRef::ById(id.table))?;
        by_id
            .get(&IndexKey::from_bytes(id.internal.as_bytes().to_vec()))
            .cloned()
    }

    fn range(
        &self,
        index: IndexRef,
        interval: &Interval,
    ) -> Option<Range<'_, IndexKey, Arc<StoredDocument>>> {
        let entries = self.indexes.get(&index).filter(|_| !interval.is_empty())?;
        let start = Bound::Included(IndexKey::from_bytes(interval.start.clone()));
        let end = match &interval.end {
            Some(end) => Bound::Excluded(IndexKey::from_bytes(end.clone())),
            None => Bound::Unbounded,
        };
        Some(entries.range((start, end)))
    }

    fn count(&self, index: IndexRef, interval: &Interval, limit: usize) -> usize {
        self.range(index, interval)
            .map_or(0, |range| range.take(limit).count())
    }

    fn scan(&self, index: IndexRef, interval: &Interval, order: Order, limit: usize) -> Vec<Row> {
        let Some(range) = self.range(index, interval) else {
            return Vec::new();
        };
        let row = |(key, document): (&IndexKey, &Arc<StoredDocument>)| Row {
            key: key.clone(),
            document: Arc::clone(document),
        };
        match order {
            Order::Asc => range.take(limit).map(row).collect(),
            Order::Desc => range.rev().take(limit).map(row).collect(),
        }
    }

    fn apply(&mut self, writes: &WriteSet) {
        for write in &writes.writes {
            for change in &write.keys {
                let entries = self.indexes.entry(change.index).or_default();
                if let Some(key) = &change.old {
                    entries.remove(key);
                }
                if let (Some(key), Some(document)) = (&change.new, &write.new) {
                    entries.insert(key.clone(), Arc::clone(document));
                }
            }
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.0.check_open()?;
        Ok(Box::new(View(Arc::clone(&self.0.state.lock().data))))
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let permit = self.0.lock_writes().await?;
        let view = View(Arc::clone(&self.0.state.lock().data));
        Ok(Box::new(MemoryTransaction {
            shared: Arc::clone(&self.0),
            view,
            _permit: permit,
        }))
    }

    fn observe(&self, observer: Arc<dyn CommitObserver>) {
        assert!(
            self.0.observer.set(observer).is_ok(),
            "a store has one observer"
        );
    }

    fn published(&self) -> Timestamp {
        *self.0.published.borrow()
    }

    async fn wait_published(&self, timestamp: Timestamp) -> Result<(), StoreError> {
        if self.published() >= timestamp {
            return Ok(());
        }
        let mut published = self.0.published.subscribe();
        let reached = published
            .wait_for(|published| *published >= timestamp)
            .await;
        reached.map(|_| ()).map_err(|_| StoreError::Closed)
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.0.state.lock().catalog)
    }

    async fn declare(&self, tables: &[TableDeclaration]) -> Result<Arc<Catalog>, StoreError> {
        // A transaction computes its keys with the catalog, which must not change until it has
        // committed.
        let _permit = self.0.lock_writes().await?;
        let mut state = self.0.state.lock();
        state.catalog = Arc::new(state.catalog.declare(tables));
        Ok(Arc::clone(&state.catalog))
    }

    async fn maintain(&self, batch: usize) -> Result<Option<Progress>, StoreError> {
        let _permit = self.0.lock_writes().await?;
        Ok(self.0.state.lock().maintain(batch))
    }

    async fn close(&self) -> Result<(), StoreError> {
        // Closing takes the write lock, so that a running transaction can still commit.
        if let Ok(_permit) = self.0.lock_writes().await {
            self.0.write_lock.close();
        }
        Ok(())
    }
}

impl MemoryState {
    fn maintain(&mut self, batch: usize) -> Option<Progress> {
        let id = self.catalog.next_unfinished()?;
        let (name, table, index) = self.catalog.find_index(id).expect("the catalog named it");
        let name = name.to_owned();
        let number = table.number;
        let index = index.clone();
        let index_ref = IndexRef::Declared(number, id);
        let data = Arc::make_mut(&mut self.data);
        let (done, total) = match index.state {
            IndexState::Dropping => {
                let total = data
                    .indexes
                    .remove(&index_ref)
                    .map_or(0, |entries| entries.len());
                (total, total)
            }
            _ => {
                let by_id = data
                    .indexes
                    .get(&IndexRef::ById(number))
                    // A copy, because the entries below are borrowed mutably from the same data.
                    // This store is a model, where the cost does not matter.
                    .cloned()
                    .unwrap_or_default();
                let entries = data.indexes.entry(index_ref).or_default();
                for document in by_id.values().skip(self.built).take(batch) {
                    for (index, key) in self.catalog.keys_of(document) {
                        if index == index_ref {
                            entries.insert(key, Arc::clone(document));
                        }
                    }
                }
                ((self.built + batch).min(by_id.len()), by_id.len())
            }
        };
        self.built = if done == total { 0 } else { done };
        if done == total {
            self.catalog = Arc::new(self.catalog.finish(id));
        }
        Some(Progress {
            table: name,
            index: index.name,
            state: index.state,
            done: done as u64,
            total: total as u64,
        })
    }
}

impl Shared {
    fn check_open(&self) -> Result<(), StoreError> {
        if self.write_lock.is_closed() {
            Err(StoreError::Closed)
        } else {
            Ok(())
        }
    }

    /// Waits for the write lock.
    async fn lock_writes(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let permit = Arc::clone(&self.write_lock).acquire_owned();
        match tokio::time::timeout(LOCK_TIMEOUT, permit).await {
            Ok(permit) => permit.map_err(|_| StoreError::Closed),
            Err(_) => Err(StoreError::Busy {
                waited: LOCK_TIMEOUT,
            }),
        }
    }

    /// Applies the writes, notifies the observer, and publishes. It does not await, so no dropped
    /// future interrupts it.
    fn commit(&self, writes: WriteSet) -> Timestamp {
        // Held until the end, so that the observer is notified of commits in their order.
        let mut state = self.state.lock();
        let timestamp = state.data.timestamp.next(self.clock.now());
        let data = Arc::make_mut(&mut state.data);
        data.apply(&writes);
        data.timestamp = timestamp;
        // Before the publication: a client that sees this commit must not get an older cached
        // result.
        if let Some(observer) = self.observer.get() {
            observer.committed(&Arc::new(Commit {
                timestamp,
                keys: writes.into_keys(),
            }));
        }
        self.published.send_replace(timestamp);
        timestamp
    }
}

/// The data at the time when the view was taken.
struct View(Arc<Data>);

#[async_trait]
impl Snapshot for View {
    fn timestamp(&self) -> Timestamp {
        self.0.timestamp
    }

    async fn get(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError> {
        Ok(self.0.get(id))
    }

    async fn scan(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        Ok(self.0.scan(index, interval, order, limit))
    }

    async fn count(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        limit: usize,
    ) -> Result<usize, StoreError> {
        Ok(self.0.count(index, interval, limit))
    }
}

struct MemoryTransaction {
    shared: Arc<Shared>,
    view: View,
    _permit: OwnedSemaphorePermit,
}

#[async_trait]
impl Snapshot for MemoryTransaction {
    fn timestamp(&self) -> Timestamp {
        self.view.timestamp()
    }

    async fn get(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError> {
        self.view.get(id).await
    }

    async fn scan(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.view.scan(index, interval, order, limit).await
    }

    async fn count(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.view.count(index, interval, limit).await
    }
}

#[async_trait]
impl Transaction for MemoryTransaction {
    async fn commit(self: Box<Self>, writes: WriteSet) -> Result<Timestamp, CommitError> {
        let MemoryTransaction {
            shared,
            view,
            _permit,
        } = *self;
        let timestamp = view.timestamp();
        // Without the view, the data has one owner and the commit need not copy it.
        drop(view);
        Ok(if writes.is_empty() {
            timestamp
        } else {
            shared.commit(writes)
        })
    }
}
