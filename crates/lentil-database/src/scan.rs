use lentil_call::{Error, Result};
use lentil_store::{IndexRef, Order, Row};
use lentil_values::Interval;

use crate::transaction::{Transaction, covered};

/// A resumable scan of an index range.
///
/// It fetches rows in chunks and passes them to a visitor one by one. Only visited rows count as
/// read, in the read set and against the limits, so that the size of the chunks is not observable.
pub(crate) struct Scan {
    index: IndexRef,
    /// The part of the range that is not scanned yet.
    rest: Interval,
    order: Order,
    done: bool,
}

/// A visitor's decision at a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// The scan continues with the next row.
    Next,
    /// The row is the last one that is needed.
    Last,
    /// The row is not needed. The scan stops before it, as if it had not been fetched.
    Before,
}

/// The number of rows that a scan may visit, and the number of rows in the next chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunks {
    left: usize,
    next: usize,
}

/// The minimum of the first chunk of a filtered scan, because few filters pass every row.
const FIRST_FILTERED_CHUNK_MIN: usize = 16;
/// The maximum of the first chunk, because the size of the documents is not known yet.
const FIRST_CHUNK_MAX: usize = 128;
/// The maximum of every chunk.
const CHUNK_MAX: usize = 1_024;
/// The bytes of documents that a chunk should not exceed, estimated from the chunk before.
const CHUNK_BYTES: usize = 4 << 20;

impl Chunks {
    /// Plans a scan that visits exactly `rows` rows, or all.
    pub(crate) fn of_rows(rows: usize) -> Chunks {
        Chunks {
            left: rows,
            next: rows.min(FIRST_CHUNK_MAX),
        }
    }

    /// Plans a scan that visits up to `at_most` rows, until `wanted` of them have passed a filter.
    ///
    /// The chunks grow. So a filter that most rows pass fetches few surplus rows, and one that few
    /// rows pass needs few chunks.
    pub(crate) fn until_passed(wanted: usize, at_most: usize) -> Chunks {
        Chunks {
            left: at_most,
            next: wanted.clamp(FIRST_FILTERED_CHUNK_MIN, FIRST_CHUNK_MAX),
        }
    }

    /// Plans the next chunk, after a chunk of this many rows and bytes.
    fn passed(&mut self, rows: usize, bytes: usize) {
        self.left -= rows;
        // Both minimums prevent a division by zero.
        let row_bytes = (bytes / rows.max(1)).max(1);
        let fitting = (CHUNK_BYTES / row_bytes).clamp(1, CHUNK_MAX);
        self.next = self.next.saturating_mul(2).min(fitting);
    }
}

impl Scan {
    pub(crate) fn new(index: IndexRef, interval: Interval, order: Order) -> Scan {
        let done = interval.is_empty();
        Scan {
            index,
            rest: interval,
            order,
            done,
        }
    }

    /// Returns whether every row of the range has been visited.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    pub(crate) fn index(&self) -> IndexRef {
        self.index
    }

    pub(crate) fn order(&self) -> Order {
        self.order
    }

    /// Narrows the rest of the range.
    pub(crate) fn restrict(&mut self, to: &Interval) {
        self.rest = self.rest.intersection(to);
        self.done |= self.rest.is_empty();
    }

    /// Passes the next rows to `visit` until it has enough, `chunks` allows no more, or the range
    /// ends.
    ///
    /// # Errors
    /// When the store fails, a limit of reading is passed, or `visit` fails.
    pub(crate) async fn visit(
        &mut self,
        transaction: &mut Transaction,
        mut chunks: Chunks,
        mut visit: impl FnMut(&Row) -> Result<Visit>,
    ) -> Result<()> {
        while !self.done && chunks.left > 0 {
            // One row more than the limit allows, so that exceeding the limit is an error and not a
            // short result.
            let before = transaction.reads_left();
            let allowed = before.documents.saturating_add(1);
            let limit = chunks.next.min(chunks.left).min(allowed);
            // A query without a permit fetches fewer rows.
            let limit = transaction.begin_fetch(limit);
            let rows = transaction
                .fetch(self.index, &self.rest, self.order, limit)
                .await?;
            let visited = visit_rows(transaction, &rows, &mut visit);
            transaction.end_fetch();
            self.record(
                transaction,
                &rows[..visited.count],
                visited.ended.is_none() && rows.len() < limit,
            );
            if let Some(ended) = visited.ended {
                return ended;
            }
            let after = transaction.reads_left();
            chunks.passed(rows.len(), before.bytes - after.bytes);
        }
        Ok(())
    }

    /// Adds the visited rows to the read set and advances. `is_end` is true if no row follows.
    fn record(&mut self, transaction: &mut Transaction, visited: &[Row], is_end: bool) {
        let last = visited.last();
        if is_end {
            transaction.record_interval(self.index, self.rest.clone());
            self.done = true;
        } else if let Some(last) = last {
            let read = covered(&self.rest, self.order, Some(last));
            transaction.record_interval(self.index, read);
            self.order.advance(&mut self.rest, &last.key);
            self.done |= self.rest.is_empty();
        }
    }
}

/// The part of a chunk that was visited.
struct Visited {
    count: usize,
    /// Set if the scan ends within the chunk, because the visitor had enough or something failed.
    ended: Option<Result<(), Error>>,
}

fn visit_rows(
    transaction: &mut Transaction,
    rows: &[Row],
    visit: &mut impl FnMut(&Row) -> Result<Visit>,
) -> Visited {
    for (at, row) in rows.iter().enumerate() {
        let ended = match visit(row) {
            Ok(Visit::Before) => {
                return Visited {
                    count: at,
                    ended: Some(Ok(())),
                };
            }
            // A row whose charge or visit fails was still read: the failure may end when the row
            // changes.
            Ok(Visit::Next) => transaction.charge_document(&row.document).err().map(Err),
            Ok(Visit::Last) => Some(transaction.charge_document(&row.document)),
            Err(error) => Some(Err(error)),
        };
        if ended.is_some() {
            return Visited {
                count: at + 1,
                ended,
            };
        }
    }
    Visited {
        count: rows.len(),
        ended: None,
    }
}
