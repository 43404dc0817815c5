use std::sync::Arc;

use async_trait::async_trait;
use lentil_store::{
    CommitError, IndexRef, Order, Row, Snapshot, StoreError, StoredDocument, Timestamp, Transaction, WriteSet,
};
use lentil_values::{DocumentId, Interval};
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::rows;
use crate::store::Shared;
use crate::writer::{Outcome, Writer};

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
        let (timestamp, epoch) = (writer.last, writer.epoch);
        drop(writer);
        SqliteTransaction { shared, turn, timestamp, epoch }
    }

    async fn read<T>(&self, read: impl FnOnce(&Writer) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let writer = self.shared.writer.lock().await;
        self.check_epoch(&writer)?;
        read(&writer)
    }

    fn check_epoch(&self, writer: &Writer) -> Result<(), StoreError> {
        if writer.epoch == self.epoch {
            return Ok(());
        }
        Err(StoreError::Lost { reason: "a batch of commits that it may have read was lost".to_owned() })
    }
}

#[async_trait]
impl Snapshot for SqliteTransaction {
    fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    async fn get(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError> {
        self.read(|writer| rows::get(&writer.conn, id)).await
    }

    async fn scan(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let catalog = self.shared.catalog();
        self.read(|writer| rows::scan(&writer.conn, &catalog, index, interval, order, limit)).await
    }
}

#[async_trait]
impl Transaction for SqliteTransaction {
    async fn commit(self: Box<Self>, writes: WriteSet) -> Result<Timestamp, CommitError> {
        let mut writer = self.shared.writer.lock().await;
        self.check_epoch(&writer)?;
        if writes.is_empty() {
            let outcome = writer.batch.as_ref().map(|batch| batch.outcome.subscribe());
            drop(writer);
            let SqliteTransaction { shared, turn, timestamp, .. } = *self;
            drop(turn);
            shared.close_batch_if_idle();
            return match outcome {
                Some(outcome) => released(outcome).await.map(|()| timestamp),
                None => Ok(shared.wait_published(timestamp).await.map(|()| timestamp)?),
            };
        }
        let applied = writer.apply(&writes, self.shared.options.clock.now());
        if writer.has_lost_batch() {
            let batch = writer.batch.take().expect("it is there to be lost");
            self.shared.lose(&mut writer, batch, "the database ended its transaction, as it does on a full disk");
        }
        let timestamp = applied?;
        let batch = writer.batch.as_ref().expect("what was applied is in a batch");
        let outcome = batch.outcome.subscribe();
        let (is_full, is_new) = (batch.is_full(&self.shared.options), batch.commits.len() == 1);
        let deadline = batch.began + self.shared.options.batch_time;
        drop(writer);
        let SqliteTransaction { shared, turn, .. } = *self;
        drop(turn);
        if is_full {
            shared.signal.close_batch();
        } else if !shared.close_batch_if_idle() && is_new {
            shared.signal.arm(deadline);
        }
        released(outcome).await.map(|()| timestamp)
    }
}

/// Waits until the batch is durable and published, or lost.
async fn released(mut outcome: watch::Receiver<Option<Outcome>>) -> Result<(), CommitError> {
    let closed = || CommitError::Store(StoreError::Closed);
    let outcome = outcome.wait_for(Option::is_some).await.map_err(|_| closed())?.clone();
    outcome.ok_or_else(closed)?.map_err(|reason| CommitError::Lost { reason })
}
