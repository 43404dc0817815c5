use std::sync::Arc;

use async_trait::async_trait;
use lentil_store::{Catalog, IndexRef, Order, Row, Snapshot, StoreError, StoredDocument, Timestamp};
use lentil_values::{DocumentId, Interval};

use crate::error::store_error;
use crate::pool::Lease;
use crate::{format, rows};

/// More rows than this are read on a thread that may wait; fewer are faster where they are asked for.
const INLINE_ROWS: usize = 128;

/// A view of the database as it was when a connection's transaction began.
pub(crate) struct SqliteSnapshot {
    lease: Arc<Lease>,
    catalog: Arc<Catalog>,
    timestamp: Timestamp,
}

impl SqliteSnapshot {
    /// Begins on a lent connection; reading the timestamp is what fixes the view.
    pub(crate) fn begin(lease: Arc<Lease>, catalog: Arc<Catalog>) -> Result<SqliteSnapshot, StoreError> {
        let timestamp = lease.read(|conn| format::read_timestamp(conn).map_err(store_error))?;
        Ok(SqliteSnapshot { lease, catalog, timestamp })
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    async fn get(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError> {
        self.lease.read(|conn| rows::get(conn, id))
    }

    async fn scan(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        if limit <= INLINE_ROWS {
            return self.lease.read(|conn| rows::scan(conn, &self.catalog, index, interval, order, limit));
        }
        let (lease, catalog, interval) = (Arc::clone(&self.lease), Arc::clone(&self.catalog), interval.clone());
        let scan = move || lease.read(|conn| rows::scan(conn, &catalog, index, &interval, order, limit));
        let scanned = tokio::task::spawn_blocking(scan).await;
        scanned.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
    }
}
