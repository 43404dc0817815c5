//! The default store: SQLite, embedded, one file in the data folder.
//!
//! Mutations run one after another behind a fair turn and share SQLite transactions ("group commit",
//! see `committer`); queries read from a pool of connections, each in a snapshot of its own. Documents are kept as
//! JSON that `sqlite3` shows: every table of the application is a view there.

mod checkpoint;
mod connection;
mod error;
mod group_commit;
mod maintain;
mod open;
mod options;
mod snapshots;
mod store;
mod tables;
mod transaction;
mod verify;
mod wal;

pub use open::error::OpenError;
pub use options::SqliteOptions;
pub use store::SqliteStore;
pub use verify::Verification;
