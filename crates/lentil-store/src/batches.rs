use lentil_values::Interval;

use crate::error::StoreError;
use crate::index::{IndexRef, Order, Row};
use crate::store::Snapshot;

/// A scan of an index in batches, so that no read takes long or returns much.
pub struct Batches {
    index: IndexRef,
    /// The part of the interval that was not read yet.
    rest: Interval,
    order: Order,
    size: usize,
    is_done: bool,
}

impl Batches {
    /// Begins a scan of `interval` that reads `size` rows at a time.
    pub fn new(index: IndexRef, interval: Interval, order: Order, size: usize) -> Batches {
        debug_assert!(size > 0);
        Batches {
            index,
            rest: interval,
            order,
            size,
            is_done: false,
        }
    }

    /// Reads the next batch; `None` after the last.
    ///
    /// # Errors
    /// The store's.
    pub async fn next(
        &mut self,
        snapshot: &mut dyn Snapshot,
    ) -> Result<Option<Vec<Row>>, StoreError> {
        if self.is_done {
            return Ok(None);
        }
        let rows = snapshot
            .scan(self.index, &self.rest, self.order, self.size)
            .await?;
        // A full batch may be the last one, too. The next scan then finds nothing.
        self.is_done = rows.len() < self.size;
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        self.order.advance(&mut self.rest, &last.key);
        Ok(Some(rows))
    }
}
