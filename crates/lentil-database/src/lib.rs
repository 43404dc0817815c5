//! `ctx.db`: reads, and in a mutation writes, within one transaction.
//!
//! A [`Transaction`] reads through a snapshot or a transaction of the store, buffers writes,
//! records what a query read, and counts what a call uses against its limits. It takes what it
//! needs from a [`DatabaseEnv`]; it knows no runtime and no function. Contexts share one
//! transaction through a [`TransactionCell`].

mod cell;
mod creation_times;
mod cursors;
mod decode;
mod env;
mod filter;
mod journal;
mod large_reads;
mod pages;
mod pagination;
mod query;
mod read_page;
mod reader;
mod scan;
mod skipped_documents;
mod system;
mod system_table;
mod tables;
mod transaction;
mod usage;
mod writer;

pub use cell::{TransactionCell, TransactionGuard};
pub use creation_times::CreationTimes;
pub use cursors::MAX_CURSOR_BYTES;
pub use decode::Decode;
pub use env::DatabaseEnv;
pub use journal::Journal;
pub use large_reads::{LargeReadPermit, LargeReads, ReadBudget};
pub use pages::Pages;
pub use pagination::{PageStatus, PaginationOptions, PaginationResult};
pub use query::Query;
pub use reader::DatabaseReader;
pub use skipped_documents::SkippedDocuments;
pub use system::{SystemDocument, SystemReader};
pub use system_table::{Scanned, SystemTable};
pub use tables::{OpenTable, Tables};
pub use transaction::{FinishedQuery, Transaction};
pub use writer::DatabaseWriter;
