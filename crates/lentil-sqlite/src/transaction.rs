use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lentil_store::{
    Catalog, Clock, CommitError, IndexRef, IndexState, Order, Row, Snapshot, StoreError,
    StoredDocument, Timestamp, Transaction, WriteSet,
};
use lentil_values::{DocumentId, Interval};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::catalog::CurrentCatalog;
use crate::connection::BUSY_TIMEOUT;
use crate::error::failed_task;
use crate::group_commit::{
    BatchGuard, GroupCommit, Writer, WriterPermit, YIELD_EVERY, acknowledged,
};
use crate::tables::count::Count;
use crate::tables::documents;
use crate::tables::scan::{Scan, Scanned};

/// The interval at which a mutation checks whether another program has stopped writing.
const OUTSIDE_WRITER_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A mutation's transaction. It holds the write lock, and reads on the connection that writes.
///
/// It reads in the batch to which it will write, and opens one if none is open: one BEGIN serves
/// both.
pub(crate) struct SqliteTransaction {
    group_commit: Arc<GroupCommit>,
    catalog: Arc<CurrentCatalog>,
    clock: Arc<dyn Clock>,
    timestamp: Timestamp,
    epoch: u64,
    /// Dropped before `batch`: the policy decides about a batch after its transaction has released
    /// the write lock.
    permit: WriterPermit,
    batch: BatchGuard,
}

impl SqliteTransaction {
    /// Begins in the open batch, or in a new one. Waits for a limited time while another program
    /// writes.
    ///
    /// It waits here and not in the first read, so that the wait does not count as the mutation's
    /// own time.
    pub(crate) async fn begin(
        group_commit: Arc<GroupCommit>,
        catalog: Arc<CurrentCatalog>,
        clock: Arc<dyn Clock>,
    ) -> Result<SqliteTransaction, StoreError> {
        let permit = group_commit.write_lock.acquire().await?;
        let began = Instant::now();
        loop {
            let mut writer = group_commit.writer.lock().await;
            if let Some(number) = writer.open_batch()? {
                let batch = BatchGuard::new(&group_commit.queue, number);
                let timestamp = writer.applied();
                let epoch = writer.epoch();
                drop(writer);
                return Ok(SqliteTransaction {
                    group_commit,
                    catalog,
                    clock,
                    timestamp,
                    epoch,
                    permit,
                    batch,
                });
            }
            // The lock is not held across the sleep: the committer needs the writer too.
            drop(writer);
            let waited = began.elapsed();
            if waited >= BUSY_TIMEOUT {
                return Err(StoreError::Busy { waited });
            }
            tokio::time::sleep(OUTSIDE_WRITER_POLL_INTERVAL).await;
        }
    }

    /// Locks the writer.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if the transaction may have read commits that were aborted.
    async fn writer(&self) -> Result<OwnedMutexGuard<Writer>, StoreError> {
        let writer = Arc::clone(&self.group_commit.writer).lock_owned().await;
        if writer.epoch() != self.epoch {
            return Err(StoreError::Lost {
                reason: "a batch of commits that it may have read was aborted".to_owned(),
            });
        }
        Ok(writer)
    }

    /// Locks the writer with an open batch. The committer may have closed the batch in which the
    /// transaction began; then the transaction continues in a new one.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if another program may have changed the database between the two
    /// batches.
    async fn writer_in_batch(&mut self) -> Result<OwnedMutexGuard<Writer>, StoreError> {
        let mut writer = self.writer().await?;
        let Some(number) = writer.open_batch()? else {
            return Err(StoreError::Conflict);
        };
        if self.batch.number() != number {
            self.batch = BatchGuard::new(&self.group_commit.queue, number);
            if writer.is_changed_outside()? {
                return Err(StoreError::Conflict);
            }
        }
        Ok(writer)
    }

    /// Waits until every commit that the transaction may have read is durable and published.
    async fn commit_nothing(self) -> Result<Timestamp, CommitError> {
        let mut writer = self.writer().await?;
        writer.end_empty_batch();
        let outcome = writer.batch().map(|batch| batch.subscribe());
        drop(writer);

        // The next mutation need not wait for what this one has read.
        drop(self.permit);
        match outcome {
            Some(outcome) => {
                drop(self.batch);
                acknowledged(outcome).await?;
            }
            None => {
                self.batch.leave_ended();
                self.group_commit.published.wait(self.timestamp).await?;
            }
        }
        Ok(self.timestamp)
    }
}

#[async_trait]
impl Snapshot for SqliteTransaction {
    fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    async fn get(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError> {
        documents::get(self.writer_in_batch().await?.conn()?, id)
    }

    async fn scan(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let scan = Scan {
            index,
            interval: interval.clone(),
            order,
            limit,
        };
        let mut writer = self.writer_in_batch().await?;
        let Scanned { mut rows, rest } = scan.begin(writer.conn()?)?;
        if let Some(rest) = rest {
            // The guard moves to the thread, so that the committer cannot end the batch meanwhile.
            let more = tokio::task::spawn_blocking(move || rest.finish(writer.conn()?));
            rows.extend(more.await.map_err(failed_task)??);
        }
        Ok(rows)
    }

    async fn count(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let count = Count {
            index,
            interval: interval.clone(),
            limit,
        };
        let mut writer = self.writer_in_batch().await?;
        if let Some(counted) = count.begin(writer.conn()?)? {
            return Ok(counted);
        }
        let counted = tokio::task::spawn_blocking(move || count.finish(writer.conn()?));
        counted.await.map_err(failed_task)?
    }
}

#[async_trait]
impl Transaction for SqliteTransaction {
    async fn commit(mut self: Box<Self>, writes: WriteSet) -> Result<Timestamp, CommitError> {
        if writes.is_empty() {
            return self.commit_nothing().await;
        }
        // The catalog cannot change from here on, because changing it takes the write lock.
        if !has_every_key(&self.catalog.get(), &writes) {
            return Err(CommitError::Conflict);
        }
        let mut writer = self.writer_in_batch().await?;
        let SqliteTransaction {
            group_commit,
            clock,
            permit,
            batch: mut guard,
            ..
        } = *self;
        let timestamp = writer
            .apply(writes, clock.now())
            .map_err(|error| group_commit.failed_to_apply(&mut writer, error))?;

        // From here on the commit happens, whether or not the caller waits for it.
        let batch = writer.batch().expect("the writes were applied to a batch");
        let outcome = batch.subscribe();
        let joined = batch.state();
        guard.join(joined);
        drop(writer);
        if joined.commits.is_multiple_of(YIELD_EVERY) {
            tokio::task::yield_now().await;
        }

        // The next mutation executes while this one waits for its batch.
        drop(permit);
        guard.leave().await;
        acknowledged(outcome).await?;
        Ok(timestamp)
    }
}

/// Returns whether each write has a key for every index of its table that exists now, and for no
/// other index.
fn has_every_key(catalog: &Catalog, writes: &WriteSet) -> bool {
    writes.writes.iter().all(|write| {
        let table = write.id.table;
        let indexes = match catalog.table_by_number(table) {
            Some(entry) => &entry.indexes[..],
            None => &[],
        };
        let current = indexes
            .iter()
            .filter(|index| index.state != IndexState::Dropping)
            .map(|index| IndexRef::Declared(table, index.id));
        let written = write
            .keys
            .iter()
            .map(|change| change.index)
            .filter(|index| matches!(index, IndexRef::Declared(..)));
        written.eq(current)
    })
}
