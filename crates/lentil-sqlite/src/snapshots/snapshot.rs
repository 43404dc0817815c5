use std::sync::Arc;

use async_trait::async_trait;
use lentil_store::{IndexRef, Order, Row, Snapshot, StoreError, StoredDocument, Timestamp};
use lentil_values::{DocumentId, Interval};

use crate::snapshots::reader_pool::Lease;
use crate::tables::count::Count;
use crate::tables::documents;
use crate::tables::scan::{Scan, Scanned};

/// A view of the database as it was when a connection's transaction began.
pub(crate) struct SqliteSnapshot {
    pub(crate) lease: Arc<Lease>,
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    fn timestamp(&self) -> Timestamp {
        self.lease.last
    }

    async fn get(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError> {
        self.lease.read(|conn| documents::get(conn, id))
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
        let Scanned { mut rows, rest } = self.lease.read(|conn| scan.begin(conn))?;
        if let Some(rest) = rest {
            let lease = Arc::clone(&self.lease);
            let going_on =
                tokio::task::spawn_blocking(move || lease.read(|conn| rest.finish(conn)));
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
        if let Some(counted) = self.lease.read(|conn| count.begin(conn))? {
            return Ok(counted);
        }
        let lease = Arc::clone(&self.lease);
        let going_on = tokio::task::spawn_blocking(move || lease.read(|conn| count.finish(conn)));
        going_on
            .await
            .map_err(|error| StoreError::Failed(error.to_string()))?
    }
}
