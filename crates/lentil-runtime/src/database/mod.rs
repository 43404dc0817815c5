//! `ctx.db`: reading, and in a mutation writing, within one transaction.

mod cursors;
mod decode;
mod pages;
mod pagination;
mod query;
mod read_page;
mod reader;
mod slot;
mod system;
mod transaction;
mod usage;
mod walk;
mod writer;

pub use cursors::MAX_CURSOR_BYTES;
pub use decode::Decode;
pub use pages::Pages;
pub use pagination::{PageStatus, PaginationOptions, PaginationResult};
pub use query::Query;
pub(crate) use read_page::Journal;
pub use reader::DatabaseReader;
pub(crate) use slot::Slot;
pub use system::{SystemDocument, SystemReader};
pub(crate) use transaction::Transaction;
pub use writer::DatabaseWriter;
