use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lentil_store::{
    Catalog, CommitError, IndexRef, IndexState, Order, Row, Snapshot, StoreError, StoredDocument,
    Timestamp, Transaction, WriteSet,
};
use lentil_values::{DocumentId, Interval};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use crate::connection::BUSY_TIMEOUT;
use crate::error::store_error;
use crate::group_commit::writer::{Batch, Outcome, Writer};
use crate::store::Shared;
use crate::tables::count::Count;
use crate::tables::documents;
use crate::tables::scan::{Scan, Scanned};

/// How long to wait before asking again whether another program has stopped writing.
const FOREIGN_WRITER_PAUSE: Duration = Duration::from_millis(5);

/// How many mutations run one after another before other tasks do. The turn goes from each to the next, which is run at
/// once; a read that comes meanwhile would wait for as many as there are.
const IN_A_ROW: usize = 4;

/// A mutation's transaction: it has the turn, and reads on the connection that writes.
///
/// It reads in the batch that it will write to, which is opened for it if none is: SQLite begins once for both.
pub(crate) struct SqliteTransaction {
    shared: Arc<Shared>,
    turn: OwnedSemaphorePermit,
    timestamp: Timestamp,
    epoch: u64,
    /// Goes after the turn, so that nobody seems to wait for that.
    closing: Option<Closing>,
}

impl SqliteTransaction {
    /// Begins in the open batch, or in a new one. While another program writes, it waits for a limited time.
    ///
    /// The wait is here and not in the first read, so that it does not count as the mutation's own time.
    pub(crate) async fn begin(
        shared: Arc<Shared>,
        turn: OwnedSemaphorePermit,
    ) -> Result<SqliteTransaction, StoreError> {
        let began = Instant::now();
        loop {
            let mut writer = shared.writer.lock().await;
            if let Some(number) = writer.begin_batch()? {
                return Ok(SqliteTransaction {
                    timestamp: writer.applied,
                    epoch: writer.epoch,
                    closing: Some(Closing::of(&shared, number)),
                    shared: Arc::clone(&shared),
                    turn,
                });
            }
            drop(writer);
            let waited = began.elapsed();
            if waited >= BUSY_TIMEOUT {
                return Err(StoreError::Busy { waited });
            }
            tokio::time::sleep(FOREIGN_WRITER_PAUSE).await;
        }
    }

    /// The connection, as long as what was read on it before still stands.
    async fn writer(&self) -> Result<OwnedMutexGuard<Writer>, StoreError> {
        let writer = Arc::clone(&self.shared.writer).lock_owned().await;
        if writer.epoch != self.epoch {
            return Err(StoreError::Lost {
                reason: "a batch of commits that it may have read was lost".to_owned(),
            });
        }
        Ok(writer)
    }

    /// The connection with a batch open on it, which is another one when the committer has ended the first.
    ///
    /// Between the two, another program may have changed the documents that were read.
    async fn writer_in_batch(&mut self) -> Result<OwnedMutexGuard<Writer>, StoreError> {
        let mut writer = self.writer().await?;
        let Some(number) = writer.begin_batch()? else {
            return Err(StoreError::Conflict);
        };
        if self
            .closing
            .as_ref()
            .is_none_or(|closing| closing.number != number)
        {
            self.closing = Some(Closing::of(&self.shared, number));
            if writer.is_changed_outside()? {
                return Err(StoreError::Conflict);
            }
        }
        Ok(writer)
    }

    /// Waits for what it may have read.
    async fn commit_nothing(self) -> Result<Timestamp, CommitError> {
        let mut writer = self.writer().await?;
        writer.end_empty_batch();
        let outcome = writer.batch.as_mut().map(Batch::outcome);
        drop(writer);
        let SqliteTransaction {
            shared,
            turn,
            timestamp,
            closing,
            ..
        } = self;
        drop(turn);
        let Some(outcome) = outcome else {
            closing.into_iter().for_each(Closing::forget);
            shared.published.wait(timestamp).await?;
            return Ok(timestamp);
        };
        drop(closing);
        released(outcome).await?;
        Ok(timestamp)
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
            let going_on = tokio::task::spawn_blocking(move || rest.finish(writer.conn()?));
            rows.extend(
                going_on
                    .await
                    .map_err(|error| StoreError::Failed(error.to_string()))??,
            );
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
        let going_on = tokio::task::spawn_blocking(move || count.finish(writer.conn()?));
        going_on
            .await
            .map_err(|error| StoreError::Failed(error.to_string()))?
    }
}

#[async_trait]
impl Transaction for SqliteTransaction {
    async fn commit(mut self: Box<Self>, writes: WriteSet) -> Result<Timestamp, CommitError> {
        if writes.is_empty() {
            return self.commit_nothing().await;
        }
        if !has_every_key(&self.shared.catalog(), &writes) {
            return Err(CommitError::Conflict);
        }
        let mut writer = self.writer_in_batch().await?;
        let SqliteTransaction {
            shared,
            turn,
            mut closing,
            ..
        } = *self;
        let applied = writer.apply(writes, shared.options.clock.now());
        let timestamp = applied.map_err(|error| shared.undo(&mut writer, error))?;
        // From here on the commit happens, whether or not the caller waits for it.
        let batch = writer
            .batch
            .as_mut()
            .expect("what was applied is in a batch");
        let (outcome, is_full, commits) = (
            batch.outcome(),
            batch.is_full(&shared.options),
            batch.commits.len(),
        );
        if let Some(closing) = &mut closing {
            closing.joined = Some(Joined {
                commits,
                latest: batch.began + shared.options.batch_time,
            });
        }
        drop(writer);
        if commits.is_multiple_of(IN_A_ROW) {
            tokio::task::yield_now().await;
        }
        drop(turn);
        match &closing {
            Some(closing) if is_full => shared.close_batch(closing.number),
            // Requests that have come in meanwhile are read now, and their mutations join.
            _ if shared.is_idle() => tokio::task::yield_now().await,
            // The next is waiting, and will see to it.
            _ => {}
        }
        drop(closing);
        released(outcome).await?;
        Ok(timestamp)
    }
}

/// Has the batch that a mutation was in committed, now or in time, when this is dropped: also with a caller that goes
/// away.
struct Closing {
    shared: Arc<Shared>,
    number: u64,
    /// What the batch was when the mutation had joined it.
    joined: Option<Joined>,
}

/// A batch that a mutation has joined.
struct Joined {
    commits: usize,
    /// When it is committed at the latest.
    latest: std::time::Instant,
}

impl Closing {
    fn of(shared: &Arc<Shared>, number: u64) -> Closing {
        Closing {
            shared: Arc::clone(shared),
            number,
            joined: None,
        }
    }

    /// There is no such batch any more.
    fn forget(self) {
        self.shared.note_closed(self.number);
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let Closing {
            shared,
            number,
            joined,
        } = self;
        if shared.is_closed(*number) {
            return;
        }
        let (is_idle, now) = (shared.is_idle(), std::time::Instant::now());
        match joined
            .as_ref()
            .map(|joined| (joined.latest, shared.pace.patience(joined.commits)))
        {
            // The next is waiting, and will see to it, unless it takes long.
            Some((latest, _)) if !is_idle => shared.signal.arm(latest),
            Some((latest, Some(patience))) => shared.signal.arm(latest.min(now + patience)),
            Some((_, None)) => shared.close_batch(*number),
            None if is_idle => shared.close_batch(*number),
            None => {}
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

/// Returns whether the writes have the keys of just those indexes that stand now.
fn has_every_key(catalog: &Catalog, writes: &WriteSet) -> bool {
    writes.writes.iter().all(|write| {
        let table = write.id.table;
        let indexes = catalog
            .table_by_number(table)
            .map_or(&[][..], |table| &table.indexes);
        let written = indexes
            .iter()
            .filter(|index| index.state != IndexState::Dropping);
        let standing = written.map(|index| IndexRef::Declared(table, index.id));
        let keys = write.keys.iter().map(|change| change.index);
        keys.filter(|index| matches!(index, IndexRef::Declared(..)))
            .eq(standing)
    })
}

/// Waits until the batch is durable and published, or lost.
async fn released(outcome: oneshot::Receiver<Outcome>) -> Result<(), CommitError> {
    let outcome = outcome
        .await
        .map_err(|_| CommitError::Store(StoreError::Closed))?;
    outcome.map_err(|reason| CommitError::Lost { reason })
}
