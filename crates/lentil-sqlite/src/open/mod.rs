//! Opening the data folder: the lock, the checks that nothing acknowledged is missing, and
//! upgrades.
//!
//! ```text
//! database      lock, check, upgrade, begin new notes
//!  ├── create         a new database
//!  ├── checks         lost commits, a crash without notes, a clock that is behind
//!  ├── header         whose file it is, read without SQLite
//!  └── upgrade        older formats
//! ```

mod checks;
mod create;
mod database;
pub(crate) mod error;
mod header;
mod upgrade;

pub use error::OpenError;

pub(crate) use database::{Opened, open};
