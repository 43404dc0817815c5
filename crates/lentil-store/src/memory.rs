use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use lentil_values::{DocumentId, IndexKey, Interval};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::{
    Catalog, Clock, Commit, CommitError, CommitObserver, IndexRef, IndexState, Order, Progress,
    Row, Snapshot, Store, StoreError, StoredDocument, TableDeclaration, Timestamp, Transaction,
    WriteSet,
};

/// A store in memory: the model that the other stores are compared with, and what tests of functions run on.
///
/// The data is shared between snapshots and copied when a commit meets a snapshot that still reads it.
pub struct MemoryStore(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    max_wait: Duration,
    turn: Arc<Semaphore>,
    state: Mutex<State>,
    published: watch::Sender<Timestamp>,
    observer: OnceLock<Arc<dyn CommitObserver>>,
}

struct State {
    data: Arc<Data>,
    catalog: Arc<Catalog>,
    /// How many documents the index now being built has taken in.
    built: usize,
}

#[derive(Clone, Default)]
struct Data {
    timestamp: Timestamp,
    indexes: BTreeMap<IndexRef, BTreeMap<IndexKey, Arc<StoredDocument>>>,
}

impl MemoryStore {
    /// An empty store; a transaction waits for its turn for ten seconds at most.
    pub fn new(clock: Arc<dyn Clock>) -> MemoryStore {
        MemoryStore::with_max_wait(clock, Duration::from_secs(10))
    }

    /// An empty store whose transactions wait for their turn this long at most.
    pub fn with_max_wait(clock: Arc<dyn Clock>, max_wait: Duration) -> MemoryStore {
        let timestamp = Timestamp::MIN.next(clock.now());
        let data = Arc::new(Data {
            timestamp,
            indexes: BTreeMap::new(),
        });
        let state = Mutex::new(State {
            data,
            catalog: Arc::default(),
            built: 0,
        });
        let published = watch::Sender::new(timestamp);
        let turn = Arc::new(Semaphore::new(1));
        MemoryStore(Arc::new(Shared {
            clock,
            max_wait,
            turn,
            state,
            published,
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
        let end = interval.end.clone().map_or(Bound::Unbounded, |end| {
            Bound::Excluded(IndexKey::from_bytes(end))
        });
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
                change.old.iter().for_each(|key| drop(entries.remove(key)));
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
        let turn = self.0.turn().await?;
        let view = View(Arc::clone(&self.0.state.lock().data));
        Ok(Box::new(MemoryTransaction {
            shared: Arc::clone(&self.0),
            view,
            _turn: turn,
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
        let _turn = self.0.turn().await?;
        let mut state = self.0.state.lock();
        state.catalog = Arc::new(state.catalog.declare(tables));
        Ok(Arc::clone(&state.catalog))
    }

    async fn maintain(&self, batch: usize) -> Result<Option<Progress>, StoreError> {
        let _turn = self.0.turn().await?;
        Ok(self.0.state.lock().maintain(batch))
    }

    async fn close(&self) -> Result<(), StoreError> {
        if let Ok(_turn) = self.0.turn().await {
            self.0.turn.close();
        }
        Ok(())
    }
}

impl State {
    fn maintain(&mut self, batch: usize) -> Option<Progress> {
        let id = self.catalog.next_unfinished()?;
        let (name, table, index) = self.catalog.find_index(id).expect("the catalog named it");
        let (name, number, index) = (name.to_owned(), table.number, index.clone());
        let (data, own) = (
            Arc::make_mut(&mut self.data),
            IndexRef::Declared(number, id),
        );
        let (done, total) = match index.state {
            IndexState::Dropping => {
                let total = data.indexes.remove(&own).map_or(0, |entries| entries.len());
                (total, total)
            }
            _ => {
                let by_id = data
                    .indexes
                    .get(&IndexRef::ById(number))
                    .cloned()
                    .unwrap_or_default();
                let entries = data.indexes.entry(own).or_default();
                for document in by_id.values().skip(self.built).take(batch) {
                    let keys = self.catalog.keys_of(document).into_iter();
                    let new = keys.filter(|(index, _)| *index == own);
                    entries.extend(new.map(|(_, key)| (key, Arc::clone(document))));
                }
                ((self.built + batch).min(by_id.len()), by_id.len())
            }
        };
        self.built = if done == total { 0 } else { done };
        if done == total {
            self.catalog = Arc::new(self.catalog.finish(id));
        }
        let (done, total) = (done as u64, total as u64);
        Some(Progress {
            table: name,
            index: index.name,
            state: index.state,
            done,
            total,
        })
    }
}

impl Shared {
    fn check_open(&self) -> Result<(), StoreError> {
        if self.turn.is_closed() {
            Err(StoreError::Closed)
        } else {
            Ok(())
        }
    }

    async fn turn(self: &Arc<Self>) -> Result<OwnedSemaphorePermit, StoreError> {
        let turn = Arc::clone(&self.turn).acquire_owned();
        match tokio::time::timeout(self.max_wait, turn).await {
            Ok(turn) => turn.map_err(|_| StoreError::Closed),
            Err(_) => Err(StoreError::Busy {
                waited: self.max_wait,
            }),
        }
    }

    /// Applies the writes, tells the observer, publishes: all in one step that no dropped future can interrupt.
    fn commit(&self, writes: WriteSet) -> Timestamp {
        let mut state = self.state.lock();
        let timestamp = state.data.timestamp.next(self.clock.now());
        let data = Arc::make_mut(&mut state.data);
        data.apply(&writes);
        data.timestamp = timestamp;
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

/// The data as it was when the view was taken.
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
    _turn: OwnedSemaphorePermit,
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
            _turn,
        } = *self;
        let timestamp = view.timestamp();
        // Without the view the data has one owner, and is changed where it is.
        drop(view);
        Ok(if writes.is_empty() {
            timestamp
        } else {
            shared.commit(writes)
        })
    }
}

#[cfg(all(test, feature = "conformance"))]
mod tests {
    use crate::MemoryStore;
    use crate::conformance::{TestStore, suite};

    suite!(|clock| async move { TestStore::of(MemoryStore::new(clock)) });
}
