use lentil_values::Interval;

use crate::{IndexRef, Order, Row, Snapshot, StoreError};

/// A scan of an index in batches, so that no read takes long or returns much.
pub struct Batches {
    index: IndexRef,
    /// The part of the interval that was not read yet; `None` at the end.
    rest: Option<Interval>,
    order: Order,
    size: usize,
}

impl Batches {
    /// Begins a scan of `interval` that reads `size` rows at a time.
    pub fn new(index: IndexRef, interval: Interval, order: Order, size: usize) -> Batches {
        debug_assert!(size > 0);
        Batches {
            index,
            rest: Some(interval),
            order,
            size,
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
        let Some(rest) = &self.rest else {
            return Ok(None);
        };
        let rows = snapshot
            .scan(self.index, rest, self.order, self.size)
            .await?;
        self.rest = match rows.last() {
            Some(last) if rows.len() == self.size => Some(self.order.rest_after(rest, &last.key)),
            _ => None,
        };
        Ok((!rows.is_empty()).then_some(rows))
    }
}
