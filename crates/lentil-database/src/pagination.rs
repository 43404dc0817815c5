//! Pages that a client requests one after another, and that stay stable while the table changes.
//!
//! A page is the rows between two cursors. A cursor is a position in the index, with a fingerprint
//! of its query. The first execution of a page chooses its end. A later execution, as of a live
//! query, finds this end in its *journal*. So the page grows or shrinks, and its neighbors do not
//! move:
//!
//! ```text
//! rows   a b c | d e f | g        page 1 ends at cursor c, page 2 starts there
//!        a b b' c | d e f | g     b' inserted: page 1 grows, page 2 does not change
//! ```
//!
//! A filter drops rows of a page. The first execution reads until enough rows have passed it, and
//! the page ends at the last of them. Rows that were fetched behind it do not count as read:
//!
//! ```text
//! rows   1 3 5 7 9 11 12 14 | 15 16 …      two even rows: the page ends at 14, and has read no row after it
//! ```
//!
//! A page ends early with `SplitRequired` before it reads more than its function may, or takes more
//! than half of its time. If its end was given, it keeps that end, contains the rows that it has
//! read, and names a row at which the client splits it in two.

use lentil_values::{
    DecodeError, FieldName, FieldValidator, Nullable, Object, Validator, Value, ValueType, v,
};

/// The options with which a client requests a page: `paginationOpts`.
#[derive(Clone, Debug, Default)]
pub struct PaginationOptions {
    /// The number of documents that the page should have; ignored if `end_cursor` is given.
    pub num_items: f64,
    /// The start of the page: `None` for the first page, then the `continue_cursor` of the page
    /// before.
    pub cursor: Option<String>,
    /// The end of the page, if it has been read before.
    pub end_cursor: Option<String>,
    /// The most documents to read, filtered ones included; ignored if `end_cursor` is given.
    pub maximum_rows_read: Option<f64>,
    /// The most bytes of documents to read; ignored if `end_cursor` is given.
    pub maximum_bytes_read: Option<f64>,
}

impl PaginationOptions {
    /// Requests the first `num_items` documents.
    pub fn first(num_items: usize) -> PaginationOptions {
        PaginationOptions {
            num_items: num_items as f64,
            ..PaginationOptions::default()
        }
    }

    /// Requests the `num_items` documents after `cursor`.
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
    /// Whether the page reaches the end of the query.
    pub is_done: bool,
    /// The start of the next page.
    pub continue_cursor: String,
    /// The middle of the page, at which a client can split it.
    pub split_cursor: Option<String>,
    /// Whether the client should or must split the page.
    pub page_status: Option<PageStatus>,
}

impl<D> PaginationResult<D> {
    /// Returns the same page with other items, which the application makes of the documents.
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

/// The reason why a client should split a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStatus {
    /// It is near a limit.
    SplitRecommended,
    /// It ended early, at `maximum_rows_read`, `maximum_bytes_read` or the limits of the call.
    SplitRequired,
}

impl ValueType for PaginationOptions {
    fn validator() -> Validator {
        v::object([
            ("numItems", FieldValidator::from(v::number())),
            ("cursor", v::union([v::string(), v::null()]).into()),
            ("endCursor", v::optional(v::union([v::string(), v::null()]))),
            // The npm client adds an `id` to tell its paginated queries apart. The value has no
            // meaning here.
            ("id", v::optional(v::number())),
            ("maximumRowsRead", v::optional(v::number())),
            ("maximumBytesRead", v::optional(v::number())),
        ])
    }

    fn into_value(self) -> Value {
        let mut fields = Object::from([
            ("numItems", Value::Float64(self.num_items)),
            ("cursor", Nullable::from(self.cursor).into_value()),
        ]);
        let optional = [
            ("endCursor", self.end_cursor.map(Value::String)),
            (
                "maximumRowsRead",
                self.maximum_rows_read.map(Value::Float64),
            ),
            (
                "maximumBytesRead",
                self.maximum_bytes_read.map(Value::Float64),
            ),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                fields.insert(FieldName::from_static(name), value);
            }
        }
        Value::Object(fields)
    }

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Object::from_value(value)?;
        let mut text = |name: &str| match fields.remove(name) {
            Some(value) => Nullable::<String>::from_value(value).map(Nullable::into_option),
            None => Ok(None),
        };
        let cursor = text("cursor")?;
        let end_cursor = text("endCursor")?;
        let mut number = |name: &str| fields.remove(name).map(f64::from_value).transpose();
        Ok(PaginationOptions {
            num_items: number("numItems")?.unwrap_or_default(),
            cursor,
            end_cursor,
            maximum_rows_read: number("maximumRowsRead")?,
            maximum_bytes_read: number("maximumBytesRead")?,
        })
    }
}

impl<D: ValueType> ValueType for PaginationResult<D> {
    const DOES_NOT_CONTAIN_ITSELF: bool = D::DOES_NOT_CONTAIN_ITSELF;

    fn validator() -> Validator {
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
        // The variants have the names that Convex's clients expect.
        let status = self.page_status.map(|status| format!("{status:?}"));
        Value::Object(Object::from([
            ("page", self.page.into_value()),
            ("isDone", Value::Boolean(self.is_done)),
            ("continueCursor", Value::String(self.continue_cursor)),
            (
                "splitCursor",
                Nullable::from(self.split_cursor).into_value(),
            ),
            ("pageStatus", Nullable::from(status).into_value()),
        ]))
    }

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Object::from_value(value)?;
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
