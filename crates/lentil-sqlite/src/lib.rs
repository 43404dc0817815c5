//! The embedded store: SQLite, one file in the data folder.
//!
//! Mutations execute one after another behind a fair write lock, and share SQLite transactions
//! (`group_commit`). Queries read on pooled connections, each in its own snapshot (`snapshots`),
//! and never wait for a mutation. Documents are stored as JSON, and each table of the application
//! is a view, so that a person can read them with `sqlite3` (`tables`).
//!
//! A module imports only modules below it:
//!
//! ```text
//!                         store                           the public API, the threads
//!     ┌─────────┬───────────┼────────────┬────────┐
//! transaction maintain checkpointer   verify    open      see their names
//!     └─────────┴───────────┼────────────┘        │
//!                      group_commit               │       many mutations, one fsync
//!                           │                     │
//!                       snapshots                 │       the commits that a reader sees
//!                           ├─────────────────────┤
//!                         tables                 wal      documents, entries · durability
//!                           └──────────┬──────────┘
//!                error connection files options …
//! ```

mod catalog;
mod checkpointer;
mod connection;
mod error;
mod files;
mod group_commit;
mod maintain;
mod open;
mod options;
mod snapshots;
mod stop_signal;
mod store;
mod tables;
mod transaction;
mod verify;
mod wal;

pub use open::OpenError;
pub use options::SqliteOptions;
pub use store::SqliteStore;
pub use verify::Verification;
