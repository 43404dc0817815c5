//! Documents and index entries in SQLite's tables.

pub(crate) mod checksum;
pub(crate) mod count;
pub(crate) mod damage;
pub(crate) mod documents;
pub(crate) mod foreign;
pub(crate) mod format;
pub(crate) mod rowid;
pub(crate) mod scan;
pub(crate) mod write_set;
