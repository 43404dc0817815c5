use lentil_call::{Error, Result};
use lentil_store::{IndexRef, Order, Row};
use lentil_values::Interval;

use crate::Transaction;
use crate::transaction::covered;

/// A scan that goes on where it stopped: what is left of an index range.
///
/// It fetches rows in chunks and hands them out one by one. Only the rows that were handed out count as read, in the
/// read set and against the limits, so that the size of the chunks is not observable.
pub(crate) struct Walk {
    index: IndexRef,
    rest: Interval,
    order: Order,
    done: bool,
}

/// A visitor's verdict on a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// The walk continues with the next row.
    Next,
    /// The row is the last one that is needed.
    Last,
    /// The row is not needed; the walk stops before it, as if it had not been fetched.
    Before,
}

/// The number of rows that a walk visits, and that it fetches at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunks {
    left: usize,
    next: usize,
}

/// Rows of the first chunk of a filtered walk at least: a filter is rarely passed by every row.
const FIRST_FILTERED_CHUNK: usize = 16;
/// Rows of the first chunk at most: how large the documents are is not known yet.
const FIRST_CHUNK_MAX: usize = 128;
/// Rows of any chunk at most.
const CHUNK_MAX: usize = 1_024;
/// Bytes of documents that a chunk should not exceed, by the size of those in the chunk before.
const CHUNK_BYTES: usize = 4 << 20;

impl Chunks {
    /// For a walk that needs `rows` rows and no more.
    pub(crate) fn of_rows(rows: usize) -> Chunks {
        Chunks {
            left: rows,
            next: rows.min(FIRST_CHUNK_MAX),
        }
    }

    /// For a walk that visits up to `at_most` rows until `wanted` of them have passed a filter.
    ///
    /// The chunks grow: a filter that most rows pass fetches few rows too many; one that few rows pass needs few chunks.
    pub(crate) fn until_passed(wanted: usize, at_most: usize) -> Chunks {
        Chunks {
            left: at_most,
            next: wanted.clamp(FIRST_FILTERED_CHUNK, FIRST_CHUNK_MAX),
        }
    }

    /// Plans the next chunk after one of so many rows and bytes.
    fn passed(&mut self, rows: usize, bytes: usize) {
        self.left -= rows;
        let row_bytes = (bytes / rows.max(1)).max(1);
        let fitting = (CHUNK_BYTES / row_bytes).clamp(1, CHUNK_MAX);
        self.next = self.next.saturating_mul(2).min(fitting);
    }
}

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

    /// Returns whether every row of the range has been visited, and none is known to be left.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    pub(crate) fn index(&self) -> IndexRef {
        self.index
    }

    pub(crate) fn order(&self) -> Order {
        self.order
    }

    /// Narrows what is left.
    pub(crate) fn restrict(&mut self, to: &Interval) {
        self.rest = self.rest.intersection(to);
        self.done |= self.rest.is_empty();
    }

    /// Hands out the next rows until `visit` has enough, `chunks` allows no more, or the range ends.
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
            // One more than may be read lets the limit itself be the error, not a short result.
            let before = transaction.reads_left();
            let allowed = before.documents.saturating_add(1);
            let limit = chunks.next.min(chunks.left).min(allowed);
            let rows = transaction
                .fetch(self.index, &self.rest, self.order, limit)
                .await?;
            let visited = visit_rows(transaction, &rows, &mut visit);
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

    /// Adds the visited rows to the read set, and moves on; `is_end` if no row follows.
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
    /// Set when the walk ends within the chunk: because the visitor had enough, or something failed.
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
