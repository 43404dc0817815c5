//! Pages that a client asks for one after another, and that stay put while the table changes.
//!
//! A page is the rows between two cursors. A cursor is a position in the index, and names the query it belongs to
//! by a fingerprint. The first run of a page decides where it ends; a later run of the same page (a live query's)
//! finds that end in its *journal* and so grows or shrinks instead of sliding:
//!
//! ```text
//! rows   a b c | d e f | g        page 1 ends at cursor c, page 2 starts there
//!        a b b' c | d e f | g     b' inserted: page 1 grows, page 2 is as it was
//! ```

use lentil_schema::RangeSpec;
use lentil_store::{Order, Row};
use lentil_values::{FieldValidator, Interval, Nullable, Object, Value, ValueType, v};

use super::Transaction;
use super::decode::Decode;
use super::transaction::{size_of, successor};
use super::walk::Walk;
use crate::{Code, Error, Result};

const MAX_PAGE_SIZE: f64 = 32_000.0;
/// A page longer than this had better be split, whatever was asked for.
const LONG_PAGE: usize = 6_144;

/// What a client sends to have one page: `paginationOpts`.
#[derive(Clone, Debug, Default)]
pub struct PaginationOptions {
    /// How many documents the page should have; ignored when `end_cursor` is given.
    pub num_items: f64,
    /// Where the page starts: `None` for the first, then the last page's `continue_cursor`.
    pub cursor: Option<String>,
    /// Where the page ends, when it has been read before.
    pub end_cursor: Option<String>,
    /// Documents to read at most, filtered ones included.
    pub maximum_rows_read: Option<f64>,
    /// Bytes of documents to read at most.
    pub maximum_bytes_read: Option<f64>,
}

impl PaginationOptions {
    /// The first `num_items` documents.
    pub fn first(num_items: usize) -> PaginationOptions {
        PaginationOptions {
            num_items: num_items as f64,
            ..PaginationOptions::default()
        }
    }

    /// The `num_items` documents from `cursor` on.
    pub fn after(cursor: impl Into<String>, num_items: usize) -> PaginationOptions {
        PaginationOptions {
            cursor: Some(cursor.into()),
            ..PaginationOptions::first(num_items)
        }
    }
}

/// One page of a query's documents.
#[derive(Clone, Debug, PartialEq)]
pub struct PaginationResult<D> {
    /// The documents.
    pub page: Vec<D>,
    /// Whether the query's end has been reached.
    pub is_done: bool,
    /// Where the next page starts.
    pub continue_cursor: String,
    /// The middle of the page, for a client that wants to split it.
    pub split_cursor: Option<String>,
    /// Whether the page should be, or has to be, split.
    pub page_status: Option<PageStatus>,
}

impl<D> PaginationResult<D> {
    /// The same page of other things: of what the application makes of the documents.
    #[must_use]
    pub fn with_page<E>(self, page: Vec<E>) -> PaginationResult<E> {
        let PaginationResult {
            page: _,
            is_done,
            continue_cursor,
            split_cursor,
            page_status,
        } = self;
        PaginationResult {
            page,
            is_done,
            continue_cursor,
            split_cursor,
            page_status,
        }
    }
}

/// Whether a page is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStatus {
    /// It is near a limit.
    SplitRecommended,
    /// It was cut short by `maximum_rows_read` or `maximum_bytes_read`.
    SplitRequired,
}

/// The end of the page that a query read: what makes its later runs cover the same page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Journal {
    /// From the run before, if there was one.
    pub(crate) before: Option<String>,
    /// From this run.
    pub(crate) now: Option<String>,
}

/// Reads one page of `walk`, which covers the whole of `range`.
pub(crate) async fn page<D: Decode>(
    transaction: &mut Transaction,
    mut walk: Walk,
    range: &RangeSpec,
    options: PaginationOptions,
    keep: impl Fn(&D) -> bool,
) -> Result<PaginationResult<D>> {
    if transaction.journal.now.is_some() {
        return Err(Error::new(
            Code::InvalidQuery,
            "a function may paginate once",
        ));
    }
    let limits = PageLimits::new(&options)?;
    let cursors = Cursors {
        fingerprint: fingerprint(range, walk.order()),
        order: walk.order(),
    };
    if let Some(cursor) = &options.cursor {
        cursors.start_after(&mut walk, cursor)?;
    }
    let end_cursor = options
        .end_cursor
        .or_else(|| transaction.journal.before.take());
    if let Some(end) = &end_cursor {
        cursors.end_at(&mut walk, end)?;
    }
    let read = Read::collect(transaction, &mut walk, &limits, end_cursor.is_some()).await?;
    let position = read.rows.last().map(|row| row.key.as_bytes());
    let end = match end_cursor {
        Some(end) => end,
        None if walk.is_done() && !read.cut => cursors.end(),
        None => position.map_or_else(|| cursors.end(), |key| cursors.after(key)),
    };
    transaction.journal.now = Some(end.clone());
    let split =
        (read.rows.len() > 2).then(|| cursors.after(read.rows[read.rows.len() / 2].key.as_bytes()));
    let decoded: Result<Vec<D>> = read
        .rows
        .iter()
        .map(|row| D::decode(&row.document))
        .collect();
    let page: Vec<D> = decoded?.into_iter().filter(keep).collect();
    let page_status = read.status(&limits, page.len());
    Ok(PaginationResult {
        page,
        is_done: cursors.is_end(&end),
        continue_cursor: end,
        split_cursor: split,
        page_status,
    })
}

struct PageLimits {
    items: usize,
    rows: usize,
    bytes: usize,
}

impl PageLimits {
    fn new(options: &PaginationOptions) -> Result<PageLimits> {
        let refuse = |message: String| Err(Error::new(Code::InvalidQuery, message));
        if options.end_cursor.is_none()
            && !(options.num_items >= 1.0 && options.num_items <= MAX_PAGE_SIZE)
        {
            return refuse(format!(
                "`numItems` is {}; a page has 1 to {MAX_PAGE_SIZE} documents",
                options.num_items
            ));
        }
        if [options.maximum_rows_read, options.maximum_bytes_read]
            .iter()
            .flatten()
            .any(|limit| limit.is_nan() || *limit < 1.0)
        {
            return refuse("`maximumRowsRead` and `maximumBytesRead` are at least 1".to_owned());
        }
        let limit = |given: Option<f64>| given.map_or(usize::MAX, |limit| limit as usize);
        Ok(PageLimits {
            items: options.num_items as usize,
            rows: limit(options.maximum_rows_read),
            bytes: limit(options.maximum_bytes_read),
        })
    }
}

/// The rows of a page, filtered ones included.
struct Read {
    rows: Vec<Row>,
    bytes: usize,
    cut: bool,
}

impl Read {
    async fn collect(
        transaction: &mut Transaction,
        walk: &mut Walk,
        limits: &PageLimits,
        to_the_end: bool,
    ) -> Result<Read> {
        let mut read = Read {
            rows: Vec::new(),
            bytes: 0,
            cut: false,
        };
        let wanted = if to_the_end { usize::MAX } else { limits.items };
        while read.rows.len() < wanted && !walk.is_done() && !read.cut {
            // Row by row under a byte limit, so that nothing is read that the page then has to leave out.
            let chunk = if limits.bytes < usize::MAX && !to_the_end {
                1
            } else {
                wanted - read.rows.len()
            };
            let chunk = if to_the_end {
                chunk
            } else {
                chunk.min(limits.rows - read.rows.len())
            };
            for row in walk.next(transaction, chunk).await? {
                read.bytes += size_of(&row.document);
                read.rows.push(row);
            }
            let over = read.rows.len() >= limits.rows || read.bytes >= limits.bytes;
            read.cut = over && !to_the_end && read.rows.len() < wanted && !walk.is_done();
        }
        Ok(read)
    }

    fn status(&self, limits: &PageLimits, page_len: usize) -> Option<PageStatus> {
        let near = |used: usize, limit: usize| limit < usize::MAX && used > limit / 4 * 3;
        if self.cut {
            Some(PageStatus::SplitRequired)
        } else if page_len > LONG_PAGE
            || near(self.rows.len(), limits.rows)
            || near(self.bytes, limits.bytes)
        {
            Some(PageStatus::SplitRecommended)
        } else {
            None
        }
    }
}

/// Writes and reads the cursors of one query: its fingerprint, then `-` for the end or the key of the last row.
struct Cursors {
    fingerprint: String,
    order: Order,
}

impl Cursors {
    fn after(&self, key: &[u8]) -> String {
        format!(
            "{}{}",
            self.fingerprint,
            data_encoding::HEXLOWER.encode(key)
        )
    }

    fn end(&self) -> String {
        format!("{}-", self.fingerprint)
    }

    fn is_end(&self, cursor: &str) -> bool {
        cursor.ends_with('-')
    }

    /// The key in `cursor`, or `None` when it is the query's end.
    fn position(&self, cursor: &str) -> Result<Option<Vec<u8>>> {
        let foreign = || {
            let data = [
                ("isConvexSystemError", Value::Boolean(true)),
                ("paginationError", "InvalidCursor".into()),
            ];
            let data =
                data.map(|(name, value)| (lentil_values::FieldName::from_static(name), value));
            Error::with_data(
                Code::InvalidCursor,
                "InvalidCursor: the cursor belongs to another query; start again from the first page",
                Object::from_iter(data),
            )
        };
        let position = cursor
            .strip_prefix(self.fingerprint.as_str())
            .ok_or_else(foreign)?;
        if position == "-" {
            return Ok(None);
        }
        data_encoding::HEXLOWER
            .decode(position.as_bytes())
            .map(Some)
            .map_err(|_| foreign())
    }

    fn start_after(&self, walk: &mut Walk, cursor: &str) -> Result<()> {
        let rest = match (self.position(cursor)?, self.order) {
            (None, _) => Interval {
                start: Vec::new(),
                end: Some(Vec::new()),
            },
            (Some(key), Order::Asc) => Interval {
                start: successor(&key),
                end: None,
            },
            (Some(key), Order::Desc) => Interval {
                start: Vec::new(),
                end: Some(key),
            },
        };
        walk.restrict(&rest);
        Ok(())
    }

    fn end_at(&self, walk: &mut Walk, cursor: &str) -> Result<()> {
        if let Some(key) = self.position(cursor)? {
            let until = match self.order {
                Order::Asc => Interval {
                    start: Vec::new(),
                    end: Some(successor(&key)),
                },
                Order::Desc => Interval {
                    start: key,
                    end: None,
                },
            };
            walk.restrict(&until);
        }
        Ok(())
    }
}

/// Sixteen hexadecimal digits that tell queries apart: FNV-1a over table, index, interval and direction.
fn fingerprint(range: &RangeSpec, order: Order) -> String {
    let interval = range.interval();
    let end = interval.end.as_deref();
    let order: &[u8] = if order == Order::Asc { b"asc" } else { b"desc" };
    let parts: [&[u8]; 6] = [
        range.table.as_bytes(),
        range.index.as_bytes(),
        order,
        &interval.start,
        end.unwrap_or_default(),
        &[u8::from(end.is_some())],
    ];
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = parts.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, part| {
        let length = (part.len() as u64).to_le_bytes();
        length
            .iter()
            .chain(part.iter())
            .fold(hash, |hash, byte| step(hash, *byte))
    });
    format!("{hash:016x}")
}

impl ValueType for PaginationOptions {
    fn validator() -> lentil_values::Validator {
        v::object([
            ("numItems", FieldValidator::from(v::number())),
            ("cursor", v::union([v::string(), v::null()]).into()),
            ("endCursor", v::optional(v::union([v::string(), v::null()]))),
            ("id", v::optional(v::number())),
            ("maximumRowsRead", v::optional(v::number())),
            ("maximumBytesRead", v::optional(v::number())),
        ])
    }

    fn into_value(self) -> Value {
        let text = |text: Option<String>| text.map_or(Value::Null, Value::String);
        let mut fields = vec![
            ("numItems", Value::Float64(self.num_items)),
            ("cursor", text(self.cursor)),
        ];
        fields.extend(self.end_cursor.map(|end| ("endCursor", Value::String(end))));
        fields.extend(
            self.maximum_rows_read
                .map(|rows| ("maximumRowsRead", Value::Float64(rows))),
        );
        fields.extend(
            self.maximum_bytes_read
                .map(|bytes| ("maximumBytesRead", Value::Float64(bytes))),
        );
        object(fields)
    }

    fn from_value(value: Value) -> Result<Self, lentil_values::DecodeError> {
        let mut fields = lentil_values::Object::from_value(value)?;
        let mut text = |name: &str| -> Result<Option<String>, lentil_values::DecodeError> {
            fields.remove(name).map_or(Ok(None), |value| {
                Ok(Nullable::<String>::from_value(value)?.into_option())
            })
        };
        let (cursor, end_cursor) = (text("cursor")?, text("endCursor")?);
        let mut number = |name: &str| fields.remove(name).map(f64::from_value).transpose();
        Ok(PaginationOptions {
            num_items: number("numItems")?.unwrap_or_default(),
            maximum_rows_read: number("maximumRowsRead")?,
            maximum_bytes_read: number("maximumBytesRead")?,
            cursor,
            end_cursor,
        })
    }
}

impl<D: ValueType> ValueType for PaginationResult<D> {
    fn validator() -> lentil_values::Validator {
        let status = ["SplitRecommended", "SplitRequired"].map(v::literal);
        v::object([
            ("page", v::array(D::validator())),
            ("isDone", v::boolean()),
            ("continueCursor", v::string()),
            ("splitCursor", v::union([v::string(), v::null()])),
            (
                "pageStatus",
                v::union(status.into_iter().chain([v::null()])),
            ),
        ])
    }

    fn into_value(self) -> Value {
        let status = self
            .page_status
            .map_or(Value::Null, |status| Value::String(format!("{status:?}")));
        object(vec![
            ("page", self.page.into_value()),
            ("isDone", Value::Boolean(self.is_done)),
            ("continueCursor", Value::String(self.continue_cursor)),
            (
                "splitCursor",
                self.split_cursor.map_or(Value::Null, Value::String),
            ),
            ("pageStatus", status),
        ])
    }

    fn from_value(value: Value) -> Result<Self, lentil_values::DecodeError> {
        let mut fields = lentil_values::Object::from_value(value)?;
        let mut take = |name: &str| fields.remove(name).unwrap_or(Value::Null);
        let status: Option<String> = Nullable::from_value(take("pageStatus"))?.into_option();
        Ok(PaginationResult {
            page: Vec::from_value(take("page"))?,
            is_done: bool::from_value(take("isDone"))?,
            continue_cursor: String::from_value(take("continueCursor"))?,
            split_cursor: Nullable::from_value(take("splitCursor"))?.into_option(),
            page_status: status.map(|status| match status.as_str() {
                "SplitRequired" => PageStatus::SplitRequired,
                _ => PageStatus::SplitRecommended,
            }),
        })
    }
}

fn object(fields: Vec<(&'static str, Value)>) -> Value {
    let named = fields
        .into_iter()
        .map(|(name, value)| (lentil_values::FieldName::from_static(name), value));
    Value::Object(named.collect())
}
