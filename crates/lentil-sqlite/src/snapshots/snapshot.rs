use std::sync::Arc;

use async_trait::async_trait;
use lentil_store::{IndexRef, Order, Row, Snapshot, StoreError, StoredDocument, Timestamp};
use lentil_values::{DocumentId, Interval};

use super::reader_pool::PooledReader;
use crate::error::failed_task;
use crate::tables::count::Count;
use crate::tables::documents;
use crate::tables::scan::{Scan, Scanned};

/// A view of the database as it was when a connection's transaction began.
pub(crate) struct SqliteSnapshot {
    pub(crate) reader: Arc<PooledReader>,
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    fn timestamp(&self) -> Timestamp {
        self.reader.last
    }

    async fn get(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>, StoreError> {
        self.reader.read(|conn| documents::get(conn, id))
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
        let Scanned { mut rows, rest } = self.reader.read(|conn| scan.begin(conn))?;
        if let Some(rest) = rest {
            let reader = Arc::clone(&self.reader);
            let more = tokio::task::spawn_blocking(move || reader.read(|conn| rest.finish(conn)));
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
        if let Some(counted) = self.reader.read(|conn| count.begin(conn))? {
            return Ok(counted);
        }
        let reader = Arc::clone(&self.reader);
        let counted = tokio::task::spawn_blocking(move || reader.read(|conn| count.finish(conn)));
        counted.await.map_err(failed_task)?
    }
}
