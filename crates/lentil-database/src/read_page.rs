use lentil_call::{Code, Error, Result};
use lentil_schema::RangeSpec;
use lentil_values::IndexKey;
use tokio::time::Instant;

use crate::cursors::Cursors;
use crate::decode::Decode;
use crate::filter::{Filter, passes};
use crate::pagination::{PageStatus, PaginationOptions, PaginationResult};
use crate::scan::{Chunks, Scan, Visit};
use crate::transaction::Transaction;
use crate::transaction::size_of;

// The default of `Limits::documents_read`. A larger page could not be read.
const MAX_PAGE_SIZE: f64 = 32_000.0;
/// A page longer than this should be split, whatever the client requested.
// Three quarters of the elements that an array may have.
const SPLIT_THRESHOLD_ROWS: usize = 6_144;
/// The number of rows after which a page reads the clock.
// A row is cheap, so the clock is not read for each one.
const CLOCK_INTERVAL: usize = 256;

/// Reads one page of `scan`, which covers all of `range`.
pub(crate) async fn read_page<D: Decode>(
    transaction: &mut Transaction,
    mut scan: Scan,
    range: &RangeSpec,
    options: PaginationOptions,
    filters: &[Filter<'_, D>],
) -> Result<PaginationResult<D>> {
    // The journal of a query has room for one page.
    if transaction.journal.now.is_some() {
        return Err(Error::new(
            Code::InvalidQuery,
            "a function may paginate once",
        ));
    }
    let mut limits = PageLimits::new(&options)?;
    let cursors = Cursors::new(range, scan.index(), scan.order());
    if let Some(cursor) = &options.cursor {
        cursors.start_after(&mut scan, cursor)?;
    }
    // The client's end has precedence: it names a page that the client already shows.
    let given_end = options
        .end_cursor
        .or_else(|| transaction.journal.before.take());
    if let Some(end) = &given_end {
        cursors.end_at(&mut scan, end)?;
        // The page must reach its end, whatever number of rows is now before it.
        limits = PageLimits::NONE;
    }
    let read = PageRows::collect(transaction, &mut scan, &limits, filters).await?;
    let is_cut = read.end == PageEnd::Cut;
    // A client splits a page with a given end before it shows it, so such a page always needs a
    // position to split at.
    let split = (read.keys.len() > 2 || is_cut && given_end.is_some())
        .then(|| cursors.after(read.keys[read.keys.len() / 2].as_bytes()));
    let end = match (given_end, read.end) {
        (Some(end), _) => end,
        (None, PageEnd::Exhausted) => cursors.end(),
        (None, PageEnd::Full | PageEnd::Cut) => {
            let last = read.keys.last();
            let last = last.expect("a page that ends before the range does has a last row");
            cursors.after(last.as_bytes())
        }
    };
    transaction.journal.now = Some(end.clone());
    Ok(PaginationResult {
        page_status: read.status(),
        page: read.page,
        is_done: cursors.is_end(&end) && !is_cut,
        continue_cursor: end,
        split_cursor: split,
    })
}

/// The limits that the client sets for a page.
struct PageLimits {
    items: usize,
    rows: usize,
    bytes: usize,
}

impl PageLimits {
    /// The limits of a page with a given end.
    const NONE: PageLimits = PageLimits {
        items: usize::MAX,
        rows: usize::MAX,
        bytes: usize::MAX,
    };

    fn new(options: &PaginationOptions) -> Result<PageLimits> {
        let whole = |name: &str, given: f64, max: f64| {
            if (1.0..=max).contains(&given) && given.fract() == 0.0 {
                return Ok(given as usize);
            }
            let message = if max.is_finite() {
                format!("`{name}` is {given}; it must be a whole number from 1 to {max}")
            } else {
                format!("`{name}` is {given}; it must be a whole number, at least 1")
            };
            Err(Error::new(Code::InvalidQuery, message))
        };
        let optional = |name, given: Option<f64>| match given {
            Some(given) => whole(name, given, f64::INFINITY),
            None => Ok(usize::MAX),
        };
        let items = if options.end_cursor.is_some() {
            usize::MAX
        } else {
            whole("numItems", options.num_items, MAX_PAGE_SIZE)?
        };
        Ok(PageLimits {
            items,
            rows: optional("maximumRowsRead", options.maximum_rows_read)?,
            bytes: optional("maximumBytesRead", options.maximum_bytes_read)?,
        })
    }
}

/// The reason why a page ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageEnd {
    /// It has as many documents as the client requested.
    Full,
    /// The range ends, or its part up to a given end.
    Exhausted,
    /// The page has reached a limit.
    Cut,
}

/// The documents of a page, and all rows that were read for it, filtered ones included.
struct PageRows<D> {
    page: Vec<D>,
    keys: Vec<IndexKey>,
    bytes: usize,
    end: PageEnd,
    allowed_rows: usize,
    allowed_bytes: usize,
}

impl<D: Decode> PageRows<D> {
    async fn collect(
        transaction: &mut Transaction,
        scan: &mut Scan,
        limits: &PageLimits,
        filters: &[Filter<'_, D>],
    ) -> Result<PageRows<D>> {
        let left = transaction.reads_left();
        let share_rows = share(left.documents);
        let share_bytes = share(left.bytes);
        // Half of the time is left for the rest of the function, which has to return the page.
        let deadline = Instant::now() + transaction.env().limits.query_time / 2;
        let mut read = PageRows {
            page: Vec::new(),
            keys: Vec::new(),
            bytes: 0,
            end: PageEnd::Exhausted,
            allowed_rows: limits.rows.min(share_rows),
            allowed_bytes: limits.bytes.min(share_bytes),
        };
        let chunks = if filters.is_empty() {
            Chunks::of_rows(limits.items.min(read.allowed_rows))
        } else {
            Chunks::until_passed(limits.items, read.allowed_rows)
        };
        scan.visit(transaction, chunks, |row| {
            let bytes = read.bytes + size_of(&row.document);
            // The first row is always read, because an empty page would make no progress.
            if bytes > share_bytes && !read.keys.is_empty() {
                return Ok(Visit::Before);
            }
            read.bytes = bytes;
            read.keys.push(row.key.clone());
            let document = D::decode(&row.document)?;
            if passes(filters, &document) {
                read.page.push(document);
            }
            let is_late =
                || read.keys.len().is_multiple_of(CLOCK_INTERVAL) && Instant::now() >= deadline;
            let has_enough = read.page.len() >= limits.items || read.bytes >= limits.bytes;
            Ok(if has_enough || is_late() {
                Visit::Last
            } else {
                Visit::Next
            })
        })
        .await?;
        if read.page.len() >= limits.items {
            read.end = PageEnd::Full;
        } else if !scan.is_done() {
            read.end = PageEnd::Cut;
        }
        Ok(read)
    }

    fn status(&self) -> Option<PageStatus> {
        let is_near = |used: usize, allowed: usize| used > allowed - allowed / 4;
        if self.end == PageEnd::Cut {
            Some(PageStatus::SplitRequired)
        } else if self.page.len() > SPLIT_THRESHOLD_ROWS
            || is_near(self.keys.len(), self.allowed_rows)
            || is_near(self.bytes, self.allowed_bytes)
        {
            Some(PageStatus::SplitRecommended)
        } else {
            None
        }
    }
}

/// Returns the part of the remaining read budget that a page may take; the rest is for the rest of
/// the function.
fn share(left: usize) -> usize {
    (left - left / 8).max(1)
}
