//! The default store: SQLite, embedded, one file in the data folder.
//!
//! Mutations run one after another behind a fair turn and share SQLite transactions ("group commit",
//! see `committer`); queries read from a pool of connections, each in a snapshot of its own. Documents are kept as
//! JSON that `sqlite3` shows: every table of the application is a view there.

mod acknowledged;
mod checkpoint;
mod checksum;
mod committer;
mod connection;
mod count;
mod damage;
mod documents;
mod error;
mod foreign;
mod format;
mod frames;
mod frontier;
mod guard;
mod loss;
mod maintain;
mod numbers;
mod open;
mod open_error;
mod options;
mod pace;
mod pool;
mod published;
mod rows;
mod run_mark;
mod scan;
mod snapshot;
mod store;
mod transaction;
mod upgrade;
mod verify;
mod wal;
mod writer;

pub use open_error::OpenError;
pub use options::SqliteOptions;
pub use store::SqliteStore;
pub use verify::Verification;
