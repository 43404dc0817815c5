use lentil_call::{Code, Error, Result};
use lentil_schema::RangeSpec;
use lentil_store::{IndexRef, Order};
use lentil_values::Interval;

use crate::cell::TransactionCell;
use crate::decode::Decode;
use crate::filter::{Filter, passes};
use crate::pages::Pages;
use crate::pagination::{PaginationOptions, PaginationResult};
use crate::read_page::read_page;
use crate::scan::{Chunks, Scan, Visit};
use crate::transaction::Transaction;

/// A query that is described and not executed yet.
///
/// `order` and `filter` refine it; `first`, `unique`, `take`, `collect`, `count`, `paginate` and
/// `pages` execute it. Documents are in the order of the index, then of `_creationTime`, then of
/// `_id`.
///
/// ```
/// # extern crate lentil_schema as lentil;
/// # use lentil_call::Result;
/// # use lentil_database::DatabaseReader;
/// # use lentil_macros::Document;
/// # use lentil_schema::{Doc, Document};
/// # use lentil_store::Order;
/// #[derive(Document, Clone)]
/// #[table("messages")]
/// #[index(by_author(author))]
/// struct Message {
///     author: String,
///     body: String,
/// }
///
/// /// The ten newest messages of an author that are not empty.
/// async fn newest(db: &mut DatabaseReader, author: &str) -> Result<Vec<Doc<Message>>> {
///     db.query(Message::BY_AUTHOR.eq(author))
///         .order(Order::Desc)
///         .filter(|message| !message.body.is_empty())
///         .take(10)
///         .await
/// }
/// ```
#[must_use = "a query reads nothing before `first`, `unique`, `take`, `collect`, `count` or `paginate`"]
pub struct Query<'db, 'f, D> {
    cell: &'db mut TransactionCell,
    scope: Scope,
    range: RangeSpec,
    order: Order,
    filters: Vec<Filter<'f, D>>,
}

/// The tables that a query may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Application,
    System,
}

impl<'db, 'f, D: Decode> Query<'db, 'f, D> {
    pub(crate) fn new(
        cell: &'db mut TransactionCell,
        scope: Scope,
        range: RangeSpec,
    ) -> Query<'db, 'f, D> {
        Query {
            cell,
            scope,
            range,
            order: Order::Asc,
            filters: Vec::new(),
        }
    }

    /// Sets the direction. The default is ascending.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Keeps only the documents for which `keep` returns `true`.
    ///
    /// The others are read too, and count against the limits. Prefer an index range where one can
    /// express the condition.
    pub fn filter(mut self, keep: impl Fn(&D) -> bool + Send + Sync + 'f) -> Self {
        self.filters.push(Box::new(keep));
        self
    }

    /// Returns the first document, or `None`.
    ///
    /// # Errors
    /// When the table or index is not declared, or a read limit is exceeded. This holds for the
    /// methods below, too.
    pub async fn first(self) -> Result<Option<D>> {
        let mut found = self.read("first", 1).await?;
        Ok(found.pop())
    }

    /// Returns the only document in the range, or `None`.
    ///
    /// # Errors
    /// [`Code::NotUnique`] when there is more than one.
    pub async fn unique(self) -> Result<Option<D>> {
        // A second document is enough to know that the first is not the only one.
        let mut found = self.read("unique", 2).await?;
        if found.len() == 2 {
            let name = self.name("unique");
            return Err(Error::new(
                Code::NotUnique,
                format!("{name}: more than one document is in the range"),
            ));
        }
        Ok(found.pop())
    }

    /// Returns the first `count` documents.
    ///
    /// # Errors
    /// As [`Query::first`].
    pub async fn take(self, count: usize) -> Result<Vec<D>> {
        self.read("take", count).await
    }

    /// Returns every document in the range.
    ///
    /// # Errors
    /// As [`Query::first`].
    pub async fn collect(self) -> Result<Vec<D>> {
        self.read("collect", usize::MAX).await
    }

    /// Returns the number of documents in the range.
    ///
    /// Without a filter it counts index entries and reads no document. It is then fast, and has
    /// its own limit ([`lentil_call::Limits::entries_counted`]). With a filter it reads the
    /// documents.
    ///
    /// # Errors
    /// As [`Query::first`].
    pub async fn count(self) -> Result<usize> {
        let counted = if self.filters.is_empty() {
            self.count_entries().await
        } else {
            self.fold(usize::MAX, 0, |count, _| *count += 1).await
        };
        counted.map_err(|error| error.in_context(self.name("count")))
    }

    async fn count_entries(&self) -> Result<usize> {
        let transaction = &mut *self.cell.borrow()?;
        transaction.count_range()?;
        let (index, interval) = resolve(transaction, self.scope, &self.range)?;
        transaction.count(index, &interval).await
    }

    /// Reads one page, in the form that `usePaginatedQuery` takes. A function may paginate once.
    ///
    /// The page ends when `num_items` documents have passed the filters. It ends early with
    /// [`PageStatus::SplitRequired`](crate::PageStatus::SplitRequired) before it exceeds the read
    /// limits or takes more than half of the function's time. One eighth of the remaining read
    /// limits is left for the rest of the function.
    ///
    /// # Errors
    /// [`Code::InvalidCursor`] when the cursor belongs to another query. [`Code::InvalidQuery`]
    /// when `num_items` is not a whole number from 1 to 32,000, or when the function has paginated
    /// before.
    pub async fn paginate(self, options: PaginationOptions) -> Result<PaginationResult<D>> {
        let name = self.name("paginate");
        let Query {
            cell,
            scope,
            range,
            order,
            filters,
        } = self;
        // One block, so that every error below gets the name of the call.
        let page = async {
            let mut transaction = cell.borrow()?;
            let scan = open(&mut transaction, scope, &range, order)?;
            read_page(&mut transaction, scan, &range, options, &filters).await
        };
        page.await.map_err(|error| error.in_context(name))
    }

    /// Returns the documents in pages of `size`. They do not borrow `ctx.db`, so that a mutation
    /// can write between them:
    ///
    /// ```text
    /// let mut pages = ctx.db.query(Job::BY_CREATION_TIME.all()).pages(100)?;
    /// while let Some(jobs) = pages.next(&mut ctx.db).await? {
    ///     for job in jobs { ctx.db.delete(&job.id).await?; }
    /// }
    /// ```
    ///
    /// # Errors
    /// When the table or index is not declared, or `size` is 0.
    pub fn pages(self, size: usize) -> Result<Pages<'f, D>> {
        let scan = open(
            &mut *self.cell.borrow()?,
            self.scope,
            &self.range,
            self.order,
        )?;
        Pages::new(scan, size, self.filters)
    }

    async fn read(&self, method: &str, limit: usize) -> Result<Vec<D>> {
        self.fold(limit, Vec::new(), Vec::push)
            .await
            .map_err(|error| error.in_context(self.name(method)))
    }

    /// Reads until `limit` documents have passed the filters.
    async fn fold<A>(
        &self,
        limit: usize,
        mut found: A,
        mut add: impl FnMut(&mut A, D),
    ) -> Result<A> {
        let Query {
            cell,
            scope,
            range,
            order,
            filters,
        } = self;
        let mut transaction = cell.borrow()?;
        let mut scan = open(&mut transaction, *scope, range, *order)?;
        let mut left = limit;
        let chunks = match filters.as_slice() {
            [] => Chunks::of_rows(limit),
            // `until_passed` has a minimum for its first chunk, and would read rows.
            _ if limit == 0 => Chunks::of_rows(0),
            _ => Chunks::until_passed(limit, usize::MAX),
        };
        scan.visit(&mut transaction, chunks, |row| {
            let document = D::decode(&row.document)?;
            if passes(filters, &document) {
                add(&mut found, document);
                left -= 1;
            }
            Ok(if left == 0 { Visit::Last } else { Visit::Next })
        })
        .await?;
        Ok(found)
    }

    fn name(&self, method: &str) -> String {
        format!(
            "db.query({}.{}).{method}",
            self.range.table, self.range.index
        )
    }
}

fn open(
    transaction: &mut Transaction,
    scope: Scope,
    range: &RangeSpec,
    order: Order,
) -> Result<Scan> {
    transaction.count_range()?;
    let (index, interval) = resolve(transaction, scope, range)?;
    Ok(Scan::new(index, interval, order))
}

fn resolve(
    transaction: &Transaction,
    scope: Scope,
    range: &RangeSpec,
) -> Result<(IndexRef, Interval)> {
    let unknown = |what: String| {
        Error::new(
            Code::InvalidQuery,
            format!("{what} is not declared in the schema"),
        )
    };
    let tables = &transaction.env().tables;
    let table = match scope {
        Scope::Application => tables.named(&range.table),
        Scope::System => tables.shown(&range.table),
    };
    let table = table.ok_or_else(|| unknown(format!("table \"{}\"", range.table)))?;
    let index = table.index(&range.index);
    let index = index.ok_or_else(|| {
        unknown(format!(
            "index \"{}\" of table \"{}\"",
            range.index, range.table
        ))
    })?;
    Ok((index, range.interval()))
}
