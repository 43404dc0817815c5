//! The transactional document store that Lentil's functions run on.
//!
//! [`Store`] is the contract: snapshots, serializable transactions, and an observer that is
//! notified of the commits in order. [`WriteBuffer`] holds the uncommitted writes of a mutation
//! above every store. [`conflict`] finds the reads that a commit invalidates. [`MemoryStore`] is
//! the model with which tests compare the other stores. A store knows tables and indexes as names,
//! numbers and field paths. It knows nothing of functions, validators or clients.
//!
//! [`FileStore`] is the contract of a store of files' contents. [`MemoryFiles`] implements it in
//! memory.

mod batches;
mod buffer;
mod catalog;
mod clock;
pub mod conflict;
#[cfg(feature = "conformance")]
pub mod conformance;
mod document;
mod duplicates;
mod error;
mod file_store;
mod index;
mod memory;
mod memory_files;
mod store;
mod timestamp;
mod unique;
mod write_set;

pub use batches::Batches;
pub use buffer::WriteBuffer;
pub use catalog::{
    Catalog, IndexDeclaration, IndexEntry, IndexState, TableDeclaration, TableEntry,
};
pub use clock::{Clock, SystemClock};
pub use document::StoredDocument;
pub use duplicates::find_duplicates;
pub use error::{CommitError, DamagedDocument, StoreError};
pub use file_store::{ContentHash, ContentHashError, FileChunks, FileError, FileStore, FileWriter};
pub use index::{IndexId, IndexRef, Order, Row};
pub use memory::MemoryStore;
pub use memory_files::MemoryFiles;
pub use store::{ChangedEntry, Commit, CommitObserver, Progress, Snapshot, Store, Transaction};
pub use timestamp::Timestamp;
pub use unique::UniqueViolation;
pub use write_set::{DocumentWrite, KeyChange, WriteSet};
