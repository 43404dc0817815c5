use lentil_call::{Code, Error, Result};

use crate::decode::Decode;
use crate::filter::{Filter, passes};
use crate::scan::{Chunks, Scan, Visit};
use crate::transaction::Transaction;

/// The documents of a query in pages. `ctx.db` is not borrowed between the pages.
///
/// In a mutation each page sees what was written before it was read.
pub struct Pages<'f, D> {
    scan: Scan,
    size: usize,
    filters: Vec<Filter<'f, D>>,
}

impl<'f, D: Decode> Pages<'f, D> {
    pub(crate) fn new(
        scan: Scan,
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
            scan,
            size,
            filters,
        })
    }

    /// Reads the next page.
    pub(crate) async fn read(&mut self, transaction: &mut Transaction) -> Result<Option<Vec<D>>> {
        let mut read = 0;
        let mut page = Vec::new();
        let filters = &self.filters;
        let chunks = Chunks::of_rows(self.size);
        let visited = self.scan.visit(transaction, chunks, |row| {
            read += 1;
            let document = D::decode(&row.document)?;
            if passes(filters, &document) {
                page.push(document);
            }
            Ok(Visit::Next)
        });
        visited
            .await
            .map_err(|error| error.in_context("db.query(…).pages"))?;
        // A page can be empty because the filters dropped all its documents. Only a page without
        // rows is the end.
        Ok((read > 0).then_some(page))
    }
}
