use std::sync::Arc;

use async_trait::async_trait;
use lentil_values::{DocumentId, IndexKey, Interval};

use crate::catalog::{Catalog, IndexState, TableDeclaration};
use crate::document::StoredDocument;
use crate::error::{CommitError, StoreError};
use crate::index::{IndexRef, Order, Row};
use crate::timestamp::Timestamp;
use crate::write_set::WriteSet;

/// A transactional document store.
///
/// Every store keeps one order. For each commit, in commit order, the store's committer makes the
/// commit durable, notifies the [`CommitObserver`], advances [`Store::published`], and only then
/// lets [`Transaction::commit`] return. The committer is never the caller's future, which may be
/// dropped at any time.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Takes a read-only view of all commits so far. It never waits for a writer and never meets a
    /// conflict. Dropping it ends it.
    ///
    /// The view is at or after [`Store::published`]. It may include commits that the observer does
    /// not know yet, and that may not be durable yet. So a result of its reads, a value or an
    /// error, may be shown to a client only after [`Store::wait_published`] has returned for its
    /// timestamp.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError>;

    /// Takes a snapshot that stays open while nobody reads it, such as for a client that sends
    /// several queries for one timestamp.
    ///
    /// A store with few connections for [`Store::snapshot`] uses other connections, so that held
    /// snapshots do not delay short reads. The store may end the snapshot early. Its reads then
    /// fail with [`StoreError::SnapshotExpired`].
    async fn held_snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.snapshot().await
    }

    /// Begins a serializable read-write transaction. A store that executes transactions one after
    /// another waits for its write lock here.
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError>;

    /// Begins a transaction that no other commit can invalidate, for a function that has met too
    /// many conflicts.
    ///
    /// Other transactions may have to wait for it, so it is the last resort. Where nothing
    /// conflicts it is as [`Store::begin`].
    async fn begin_exclusive(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.begin().await
    }

    /// Sets the one observer. It is notified of every commit after the current
    /// [`Store::published`], including those of other servers. Call this once, before the first
    /// snapshot or transaction whose reads are cached.
    fn observe(&self, observer: Arc<dyn CommitObserver>);

    /// Returns the timestamp up to which commits are durable, observed and visible to clients.
    fn published(&self) -> Timestamp;

    /// Waits until every commit that any server acknowledged before this call is published here.
    /// Returns a timestamp at or after all of them. A cached result that is valid at this timestamp
    /// is not stale.
    ///
    /// Where only one server writes, this returns [`Store::published`] at once.
    async fn catch_up(&self) -> Result<Timestamp, StoreError> {
        Ok(self.published())
    }

    /// Waits until [`Store::published`] has reached `timestamp`, which is that of a snapshot or a
    /// transaction.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if this never happens, because the commit was lost before it was
    /// durable.
    async fn wait_published(&self, timestamp: Timestamp) -> Result<(), StoreError>;

    /// Returns the current tables and indexes. Another server may change them at any time.
    ///
    /// [`Transaction::commit`] refuses a write set with [`CommitError::Conflict`] if its keys are
    /// not those of the indexes at that time, or if an index has become unique since.
    fn catalog(&self) -> Arc<Catalog>;

    /// Creates the declared tables and indexes in one durable step.
    ///
    /// A new table gets a number that was never used. A new index is `Building` until
    /// [`Store::maintain`] has built it. An index that is not declared any more is `Dropping`; such
    /// a table keeps its data. Before an index becomes unique, the caller must check that the
    /// documents allow it.
    async fn declare(&self, tables: &[TableDeclaration]) -> Result<Arc<Catalog>, StoreError>;

    /// Does the next step of building and dropping indexes, of about `batch` documents. Returns
    /// `None` if there is nothing left to do. Each step is durable, so that after a crash the next
    /// start continues there.
    async fn maintain(&self, batch: usize) -> Result<Option<Progress>, StoreError>;

    /// Completes the running commits, makes everything durable, and fails later calls with
    /// [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;
}

/// A consistent view of the whole store at one timestamp.
#[async_trait]
pub trait Snapshot: Send {
    /// Returns the timestamp of the last commit that the view includes.
    fn timestamp(&self) -> Timestamp;

    /// Reads the document with this id, if there is one.
    async fn get(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError>;

    /// Reads the first `limit` entries of `index` within `interval`, in `order`.
    async fn scan(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// Counts the entries of `index` within `interval`, up to `limit`. It reads no documents. Like
    /// a scan, it is a read of the interval.
    async fn count(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        limit: usize,
    ) -> Result<usize, StoreError>;
}

/// A view that can be committed.
///
/// Reads see every commit up to its timestamp, durable or not. Writes are buffered above the store
/// ([`crate::WriteBuffer`]), so that dropping the transaction rolls it back.
///
/// The order of the commits' timestamps is the serial order. A store refuses a commit if another
/// commit, after the view and before this one, changed what the transaction read. Unique indexes
/// rely on this: a transaction that takes a key also reads whether the key is taken
/// ([`crate::WriteBuffer::find_duplicate`]).
#[async_trait]
pub trait Transaction: Snapshot {
    /// Applies the writes in one atomic step. Returns once they are durable and published.
    ///
    /// An empty write set writes nothing and allocates no timestamp. Then this returns the view's
    /// timestamp, once everything that the view includes is durable and published. Only after that
    /// may the function's result, a value or an error, be shown to a client.
    async fn commit(self: Box<Self>, writes: WriteSet) -> Result<Timestamp, CommitError>;
}

/// A commit as the observer sees it.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The timestamp, which is greater than that of every earlier commit.
    pub timestamp: Timestamp,
    /// The old and the new entry of every written document in every index of its table. An
    /// unchanged entry is listed twice in a row, as the old and as the new one.
    pub keys: Vec<(IndexRef, IndexKey)>,
}

/// An index entry that a commit has changed.
#[derive(Clone, Copy, Debug)]
pub struct ChangedEntry<'c> {
    /// The index.
    pub index: IndexRef,
    /// The entry's key.
    pub key: &'c IndexKey,
    /// Whether the entry was added or removed. Otherwise only its document has changed.
    pub added_or_removed: bool,
}

impl Commit {
    /// Returns each entry that the commit has changed, once.
    pub fn entries(&self) -> impl Iterator<Item = ChangedEntry<'_>> {
        // An unchanged entry is listed twice in a row, so that it makes one group of two.
        let groups = self.keys.chunk_by(|a, b| a == b);
        groups.map(|group| ChangedEntry {
            index: group[0].0,
            key: &group[0].1,
            added_or_removed: group.len() == 1,
        })
    }
}

/// The receiver of all commits, which invalidates cached results and live queries.
pub trait CommitObserver: Send + Sync + 'static {
    /// Called once for each commit, in commit order, after the commit is durable and before it is
    /// published. It must be quick and must not wait for the store.
    fn committed(&self, commit: &Arc<Commit>);

    /// Called when another program has changed the store, such as a person with `sqlite3`.
    ///
    /// Nothing that was read before `timestamp` may be used any longer. The timestamp is after that
    /// of every commit that was notified before. It is published when this returns.
    fn everything_changed(&self, timestamp: Timestamp);
}

/// The progress of building or dropping an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The index's table.
    pub table: String,
    /// The index's name.
    pub index: String,
    /// `Building` or `Dropping`.
    pub state: IndexState,
    /// The number of documents (building) or entries (dropping) done so far.
    pub done: u64,
    /// The approximate total.
    pub total: u64,
}
