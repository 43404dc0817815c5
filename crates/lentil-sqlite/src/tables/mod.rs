//! Documents and index entries in SQLite's tables. [`format`] describes the tables.
//!
//! ```text
//!        write_set    scan    count
//!             │        └──┬────┘
//!             │      rowid_range
//!             └────┬──────┘
//!              documents                    one document by its id or rowid
//!             ┌────┴─────┐
//!          foreign     damage               documents of other databases · errors
//!             └────┬─────┘
//!    format   row   index_entries           the catalog · a row, verified · index entries
//!             └────┬─────┘
//!        document_table   rowid             a table's SQLite table · rowids of ids
//! ```

pub(crate) mod count;
pub(crate) mod damage;
pub(crate) mod document_table;
pub(crate) mod documents;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod foreign;
pub(crate) mod format;
pub(crate) mod index_entries;
pub(crate) mod row;
pub(crate) mod rowid;
mod rowid_range;
pub(crate) mod scan;
pub(crate) mod write_set;
