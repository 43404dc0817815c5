use std::sync::Arc;

use async_trait::async_trait;
use lentil_values::{DocumentId, IndexKey, Interval};

use crate::{
    Catalog, CommitError, IndexRef, Order, Row, StoreError, StoredDocument, TableDeclaration,
    Timestamp, WriteSet,
};

/// A transactional document store.
///
/// Every store keeps one promise, "the order that keeps the promises". For each commit, in commit order, the
/// store's committer (never the caller's future, which may be dropped at any time) makes it durable, tells the
/// [`CommitObserver`], advances [`Store::published`], and only then lets [`Transaction::commit`] return.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// A read-only view of everything committed so far. Never waits for a writer.
    ///
    /// It is never behind [`Store::published`] and may be ahead of it, by commits that are not yet told to the
    /// observer and perhaps not yet durable: what was read, be it a value or an error, is shown to a client only
    /// after [`Store::wait_published`] for the snapshot's timestamp. Dropping it is all it takes to end it, and it
    /// never meets a conflict.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError>;

    /// A snapshot that is kept for a while without being read, as for a client that asks several queries at one
    /// timestamp.
    ///
    /// The same as [`Store::snapshot`], except that a store with few connections for reads takes these from others: the
    /// snapshots that are held do not keep short reads waiting. The store may end one early; reads of it then fail with
    /// [`StoreError::SnapshotExpired`].
    async fn held_snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.snapshot().await
    }

    /// A serializable read-write transaction. Waits for its turn where the store runs them one after another.
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError>;

    /// A transaction that is not disturbed by others: for a function that has met conflicts too often.
    ///
    /// Others may wait for it, so that it is the last resort. The same as [`Store::begin`] where nothing conflicts.
    async fn begin_alone(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.begin().await
    }

    /// Names the one observer, told of every commit after [`Store::published`] as it stands at this call, also of
    /// those that other servers make. Called once, before the first snapshot or transaction whose reads are kept.
    fn observe(&self, observer: Arc<dyn CommitObserver>);

    /// The timestamp up to which commits are durable, observed and shown.
    fn published(&self) -> Timestamp;

    /// Returns once everything acknowledged by any server before this call is published here, with a timestamp at
    /// or after all of it: what a cached answer must have been valid at.
    ///
    /// Where one server alone writes, that is what is published, at once.
    async fn catch_up(&self) -> Result<Timestamp, StoreError> {
        Ok(self.published())
    }

    /// Returns once [`Store::published`] has reached `timestamp`, which a snapshot or a transaction had.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when it never will, because the commit was lost before it was durable.
    async fn wait_published(&self, timestamp: Timestamp) -> Result<(), StoreError>;

    /// The tables and indexes there are; another server may change them at any time. [`Transaction::commit`] refuses
    /// a write set whose keys are not those of the indexes that stand then, or that was made before one of them became
    /// unique, with [`CommitError::Conflict`].
    fn catalog(&self) -> Arc<Catalog>;

    /// Makes the declared tables and indexes exist, in one durable step.
    ///
    /// New tables get a number that was never used; new indexes stand as `Building` until [`Store::maintain`] has
    /// built them; indexes no longer declared stand as `Dropping`; tables no longer declared keep their data. That the
    /// documents there are allow an index to be unique is for the caller to have seen to.
    async fn declare(&self, tables: &[TableDeclaration]) -> Result<Arc<Catalog>, StoreError>;

    /// Does the next bounded step (about `batch` documents) of building and dropping indexes; `None` when nothing
    /// is left to do. Each step is durable, so that a crash continues where it stopped.
    async fn maintain(&self, batch: usize) -> Result<Option<Progress>, StoreError>;

    /// Finishes what runs, makes everything durable, and refuses what comes later with [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;
}

/// A consistent view of the whole store at one timestamp.
#[async_trait]
pub trait Snapshot: Send {
    /// The last commit this view includes.
    fn timestamp(&self) -> Timestamp;

    /// The document with this id, if there is one.
    async fn get(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError>;

    /// The first `limit` entries of `index` within `interval`, in `order`.
    async fn scan(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// How many entries `index` has within `interval`; it stops counting at `limit`. It reads entries and no
    /// documents, and like a scan it is a read of the interval.
    async fn count(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        limit: usize,
    ) -> Result<usize, StoreError>;
}

/// A view that can be committed. Reads see every commit up to its timestamp, durable or not; writes are buffered
/// above it ([`crate::WriteBuffer`]), so that dropping it rolls back.
///
/// The order of the commits' timestamps is the serial order: a commit is refused when one between the view and
/// itself has written into what the view read. That is also what unique indexes rest on: whether a key is taken is
/// read in the transaction that takes it ([`crate::WriteBuffer::find_duplicate`]).
#[async_trait]
pub trait Transaction: Snapshot {
    /// Applies the writes in one atomic step; returns once they are durable and published.
    ///
    /// With an empty write set it writes nothing, makes no timestamp, and returns the view's own once everything it
    /// may have read is durable and published: what a function computed, be it a value or an error, is shown
    /// only after that.
    async fn commit(self: Box<Self>, writes: WriteSet) -> Result<Timestamp, CommitError>;
}

/// A commit as its observer sees it.
#[derive(Clone, Debug)]
pub struct Commit {
    /// When it happened; greater than every earlier commit's.
    pub timestamp: Timestamp,
    /// The old and the new entry of every written document in every index of its table. An entry that stands as it did
    /// is there as both, one after the other.
    pub keys: Vec<(IndexRef, IndexKey)>,
}

/// An index entry that a commit has touched.
#[derive(Clone, Copy, Debug)]
pub struct ChangedEntry<'c> {
    /// The index.
    pub index: IndexRef,
    /// The entry.
    pub key: &'c IndexKey,
    /// Whether it came or went; else it stands as it did, and only its document has changed.
    pub added_or_removed: bool,
}

impl Commit {
    /// Each entry that the commit has touched, once.
    pub fn entries(&self) -> impl Iterator<Item = ChangedEntry<'_>> {
        let same = self.keys.chunk_by(|a, b| a == b);
        same.map(|same| ChangedEntry {
            index: same[0].0,
            key: &same[0].1,
            added_or_removed: same.len() == 1,
        })
    }
}

/// What is told of every commit: the invalidation of cached answers and of subscriptions.
pub trait CommitObserver: Send + Sync + 'static {
    /// Called for each commit once, in commit order, after it is durable and before it is published. It must be
    /// quick and must not wait for the store.
    fn committed(&self, commit: &Arc<Commit>);

    /// Called when the store was changed by something else than its transactions, such as a person with `sqlite3`.
    ///
    /// Nothing that was read before `timestamp` may be used any longer. It stands in the order of the commits, after
    /// those that were notified before, and is published when this returns.
    fn everything_changed(&self, timestamp: Timestamp);
}

/// How far the building or dropping of an index has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The index's table.
    pub table: String,
    /// The index's name.
    pub index: String,
    /// `Building` or `Dropping`.
    pub state: crate::IndexState,
    /// Documents (building) or entries (dropping) done so far.
    pub done: u64,
    /// About how many there are in all.
    pub total: u64,
}
