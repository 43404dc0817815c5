use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lentil_store::{
    Catalog, CommitError, IndexRef, IndexState, Order, Row, Snapshot, StoreError, StoredDocument, Timestamp,
    Transaction, WriteSet,
};
use lentil_values::{DocumentId, Interval};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::count::Count;
use crate::documents;
use crate::error::store_error;
use crate::scan::{Scan, Scanned};
use crate::store::Shared;
use crate::writer::{Outcome, Writer};

/// How long to wait before asking again whether another program has stopped writing.
const FOREIGN_WRITER_PAUSE: Duration = Duration::from_millis(5);

/// A mutation's transaction: it has the turn, and reads on the connection that writes.
pub(crate) struct SqliteTransaction {
    shared: Arc<Shared>,
    turn: OwnedSemaphorePermit,
    timestamp: Timestamp,
    epoch: u64,
}

impl SqliteTransaction {
    pub(crate) async fn begin(shared: Arc<Shared>, turn: OwnedSemaphorePermit) -> SqliteTransaction {
        let writer = shared.writer.lock().await;
        let (timestamp, epoch) = (writer.applied, writer.epoch);
        drop(writer);
        SqliteTransaction { shared, turn, timestamp, epoch }
    }

    /// The connection, as long as what was read on it before still stands.
    async fn writer(&self) -> Result<OwnedMutexGuard<Writer>, StoreError> {
        let writer = Arc::clone(&self.shared.writer).lock_owned().await;
        if writer.epoch != self.epoch {
            return Err(StoreError::Lost { reason: "a batch of commits that it may have read was lost".to_owned() });
        }
        Ok(writer)
    }

    /// The connection with a batch open on it; waits for other programs that write.
    async fn writer_in_batch(&self) -> Result<OwnedMutexGuard<Writer>, StoreError> {
        let max_wait = self.shared.options.max_wait;
        let deadline = Instant::now() + max_wait;
        loop {
            let mut writer = self.writer().await?;
            if writer.begin_batch()? {
                return Ok(writer);
            }
            drop(writer);
            if Instant::now() >= deadline {
                return Err(StoreError::Busy { waited: max_wait });
            }
            tokio::time::sleep(FOREIGN_WRITER_PAUSE).await;
        }
    }

    /// Waits for what it may have read.
    async fn commit_nothing(self) -> Result<Timestamp, CommitError> {
        let writer = self.writer().await?;
        let batch = writer.batch.as_ref().map(|batch| (batch.number, batch.outcome.subscribe()));
        drop(writer);
        let SqliteTransaction { shared, turn, timestamp, .. } = self;
        drop(turn);
        match batch {
            Some((number, outcome)) => {
                shared.close_batch_if_idle(number);
                released(outcome).await?;
            }
            None => shared.wait_published(timestamp).await?,
        }
        Ok(timestamp)
    }
}

#[async_trait]
impl Snapshot for SqliteTransaction {
    fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    async fn get(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError> {
        documents::get(self.writer().await?.conn()?, id)
    }

    async fn scan(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let scan = Scan { index, interval: interval.clone(), order, limit };
        let mut writer = self.writer().await?;
        let Scanned { mut rows, rest } = scan.begin(writer.conn()?)?;
        if let Some(rest) = rest {
            let going_on = tokio::task::spawn_blocking(move || rest.finish(writer.conn()?));
            rows.extend(going_on.await.map_err(|error| StoreError::Failed(error.to_string()))??);
        }
        Ok(rows)
    }

    async fn count(&mut self, index: IndexRef, interval: &Interval, limit: usize) -> Result<usize, StoreError> {
        let count = Count { index, interval: interval.clone(), limit };
        let mut writer = self.writer().await?;
        if let Some(counted) = count.begin(writer.conn()?)? {
            return Ok(counted);
        }
        let going_on = tokio::task::spawn_blocking(move || count.finish(writer.conn()?));
        going_on.await.map_err(|error| StoreError::Failed(error.to_string()))?
    }
}

#[async_trait]
impl Transaction for SqliteTransaction {
    async fn commit(self: Box<Self>, writes: WriteSet) -> Result<Timestamp, CommitError> {
        if writes.is_empty() {
            return self.commit_nothing().await;
        }
        if !has_every_key(&self.shared.catalog(), &writes) {
            return Err(CommitError::Conflict);
        }
        let mut writer = self.writer_in_batch().await?;
        let SqliteTransaction { shared, turn, .. } = *self;
        let applied = writer.apply(writes, shared.options.clock.now());
        let timestamp = applied.map_err(|error| shared.undo(&mut writer, error))?;
        // From here on the commit happens, whether or not the caller waits for it.
        let batch = writer.batch.as_ref().expect("what was applied is in a batch");
        let (number, outcome) = (batch.number, batch.outcome.subscribe());
        let (is_full, is_new) = (batch.is_full(&shared.options), batch.commits.len() == 1);
        let deadline = batch.began + shared.options.batch_time;
        drop(writer);
        drop(turn);
        if is_full {
            shared.close_batch(number);
        } else {
            let closing = Closing { shared: &shared, number, deadline: is_new.then_some(deadline) };
            // Requests that have come in meanwhile are read now, and their mutations join.
            tokio::task::yield_now().await;
            drop(closing);
        }
        released(outcome).await?;
        Ok(timestamp)
    }
}

/// Has the batch committed, now or in time, when this is dropped: also with a caller that goes away.
struct Closing<'s> {
    shared: &'s Shared,
    number: u64,
    /// When the batch is to be committed at the latest, if that is not set yet.
    deadline: Option<std::time::Instant>,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if !self.shared.close_batch_if_idle(self.number)
            && let Some(deadline) = self.deadline
        {
            self.shared.signal.arm(deadline);
        }
    }
}

impl Shared {
    /// What a write set that could not be applied means: it alone failed, or the batch is lost with it.
    fn undo(&self, writer: &mut Writer, error: rusqlite::Error) -> CommitError {
        if writer.has_lost_batch() {
            let reason = error.to_string();
            self.lose(writer, &reason);
            return CommitError::Lost { reason };
        }
        writer.end_empty_batch();
        CommitError::Store(store_error(error))
    }
}

/// Whether the writes have the keys of just those indexes that stand now.
fn has_every_key(catalog: &Catalog, writes: &WriteSet) -> bool {
    writes.writes.iter().all(|write| {
        let table = write.id.table;
        let indexes = catalog.table_by_number(table).map_or(&[][..], |table| &table.indexes);
        let written = indexes.iter().filter(|index| index.state != IndexState::Dropping);
        let standing = written.map(|index| IndexRef::Declared(table, index.id));
        let keys = write.keys.iter().map(|change| change.index);
        keys.filter(|index| matches!(index, IndexRef::Declared(..))).eq(standing)
    })
}

/// Waits until the batch is durable and published, or lost.
async fn released(mut outcome: watch::Receiver<Option<Outcome>>) -> Result<(), CommitError> {
    let closed = || CommitError::Store(StoreError::Closed);
    let outcome = outcome.wait_for(Option::is_some).await.map_err(|_| closed())?.clone();
    outcome.ok_or_else(closed)?.map_err(|reason| CommitError::Lost { reason })
}
