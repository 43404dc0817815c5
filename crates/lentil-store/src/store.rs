use std::sync::Arc;

use async_trait::async_trait;
use lentil_values::{DocumentId, IndexKey, Interval};

use crate::{
    Catalog, CommitError, IndexRef, Order, Row, StoreError, StoredDocument, TableDeclaration, Timestamp, WriteSet,
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
    /// It may be ahead of [`Store::published`] by commits that are durable and not yet told to the observer:
    /// what was read is shown to a client only after [`Store::wait_published`] for the snapshot's timestamp.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError>;

    /// A serializable read-write transaction. Waits for its turn where the store runs them one after another.
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError>;

    /// Names the one observer that is told of every commit from now on. Called once, before the first commit.
    fn observe(&self, observer: Arc<dyn CommitObserver>);

    /// The timestamp up to which commits are durable, observed and shown.
    fn published(&self) -> Timestamp;

    /// Returns once [`Store::published`] has reached `timestamp`.
    async fn wait_published(&self, timestamp: Timestamp) -> Result<(), StoreError>;

    /// The tables and indexes there are.
    fn catalog(&self) -> Arc<Catalog>;

    /// Makes the declared tables and indexes exist, in one durable step.
    ///
    /// New tables get a number that was never used; new indexes stand as `Building` until [`Store::maintain`] has
    /// built them; indexes no longer declared stand as `Dropping`; tables no longer declared keep their data.
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
}

/// A view that can be committed. Reads see every commit before it, durable or not; writes are buffered above it
/// ([`crate::WriteBuffer`]), so that dropping it rolls back.
#[async_trait]
pub trait Transaction: Snapshot {
    /// Applies the writes in one atomic step; returns once they are durable and published.
    ///
    /// With an empty write set it writes nothing, makes no timestamp, and returns once everything the transaction
    /// may have read is durable and published: what a function computed, be it a value or an error, is shown
    /// only after that.
    async fn commit(self: Box<Self>, writes: WriteSet) -> Result<Timestamp, CommitError>;
}

/// A commit as its observer sees it.
#[derive(Clone, Debug)]
pub struct Commit {
    /// When it happened; greater than every earlier commit's.
    pub timestamp: Timestamp,
    /// The old and the new entry of every written document in every index of its table.
    pub keys: Vec<(IndexRef, IndexKey)>,
}

/// What is told of every commit: the invalidation of cached answers and of subscriptions.
pub trait CommitObserver: Send + Sync + 'static {
    /// Called for each commit once, in commit order, after it is durable and before it is published. It must be
    /// quick and must not wait for the store.
    fn committed(&self, commit: &Commit);
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
