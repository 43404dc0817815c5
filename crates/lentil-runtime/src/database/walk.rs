use lentil_store::{IndexRef, Order, Row};
use lentil_values::Interval;

use super::Transaction;
use super::transaction::successor;
use crate::Result;

/// A scan that goes on where it stopped: what is left of an index range.
pub(crate) struct Walk {
    index: IndexRef,
    rest: Interval,
    order: Order,
    done: bool,
}

/// Rows read from the store at once, so that a large range is not held twice.
const CHUNK: usize = 1_024;

impl Walk {
    pub(crate) fn new(index: IndexRef, interval: Interval, order: Order) -> Walk {
        let done = interval.is_empty();
        Walk {
            index,
            rest: interval,
            order,
            done,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    pub(crate) fn order(&self) -> Order {
        self.order
    }

    /// Narrows what is left.
    pub(crate) fn restrict(&mut self, to: &Interval) {
        self.rest = self.rest.intersection(to);
        self.done |= self.rest.is_empty();
    }

    /// The next rows, at most `limit`; none when the range is at its end.
    pub(crate) async fn next(
        &mut self,
        transaction: &mut Transaction,
        limit: usize,
    ) -> Result<Vec<Row>> {
        if self.done || limit == 0 {
            return Ok(Vec::new());
        }
        // One more than may be read lets the limit itself be the error, not a short answer.
        let allowed = transaction
            .usage
            .documents_left(transaction.runtime.limits())
            .saturating_add(1);
        let limit = limit.min(CHUNK).min(allowed);
        let rows = transaction
            .scan(self.index, &self.rest, self.order, limit)
            .await?;
        match rows.last().filter(|_| rows.len() == limit) {
            Some(last) => self.pass(last.key.as_bytes()),
            None => self.done = true,
        }
        Ok(rows)
    }

    fn pass(&mut self, key: &[u8]) {
        match self.order {
            Order::Asc => self.rest.start = successor(key),
            Order::Desc => self.rest.end = Some(key.to_vec()),
        }
        self.done |= self.rest.is_empty();
    }
}
