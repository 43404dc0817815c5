//! The transactional document store that Lentil's functions run on.
//!
//! [`Store`] is the contract: snapshots, serializable transactions, and commits told to one observer in order.
//! [`WriteBuffer`] holds what a mutation has written and not yet committed, the same for every store.
//! [`MemoryStore`] is the model that tests compare the other stores with.
//! A store knows tables and indexes as names, numbers and field paths; it knows nothing of functions, validators
//! or clients.
//!
//! [`FileStore`] is the contract of what keeps the contents of files, and [`MemoryFiles`] the one in memory.

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
