use super::DatabaseReader;
use super::decode::Decode;
use super::query::{Filter, passes};
use super::walk::Walk;
use crate::{Code, Error, Result};

/// The documents of a query in pages that are owned, with no borrow of `ctx.db` between them.
///
/// In a mutation each page sees what was written before it was read.
pub struct Pages<'f, D> {
    walk: Walk,
    size: usize,
    filters: Vec<Filter<'f, D>>,
}

impl<'f, D: Decode> Pages<'f, D> {
    pub(crate) fn new(
        walk: Walk,
        size: usize,
        filters: Vec<Filter<'f, D>>,
    ) -> Result<Pages<'f, D>> {
        if size == 0 {
            return Err(Error::new(
                Code::InvalidQuery,
                "db.query(…).pages(0): a page holds at least one document",
            ));
        }
        Ok(Pages {
            walk,
            size,
            filters,
        })
    }

    /// The next page: up to the page size of documents read, less those filtered out; `None` after the last.
    ///
    /// # Errors
    /// When a limit of reading is passed.
    pub async fn next(&mut self, db: &mut DatabaseReader) -> Result<Option<Vec<D>>> {
        if self.walk.is_done() {
            return Ok(None);
        }
        let rows = self.walk.next(&mut *db.transaction()?, self.size).await;
        let rows = rows.map_err(|error| error.in_context("db.query(…).pages"))?;
        if rows.is_empty() {
            return Ok(None);
        }
        let decoded: Result<Vec<D>> = rows.iter().map(|row| D::decode(&row.document)).collect();
        Ok(Some(
            decoded?
                .into_iter()
                .filter(|document| passes(&self.filters, document))
                .collect(),
        ))
    }
}
