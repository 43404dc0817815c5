//! The files of a data folder.
//!
//! ```text
//! lentil.sqlite3                the database
//! lentil.sqlite3-wal            its write-ahead log
//! lentil.sqlite3-shm            SQLite's index of the log
//! lentil.sqlite3-acknowledged   how far the log holds acknowledged commits (`wal::acknowledged`)
//! lock                          locked by a running server; contains its mark (`wal::run_mark`)
//! lentil.sqlite3.new            a database that is being created
//! lentil.sqlite3-wal.damaged    a copy of a damaged log (`wal::loss`)
//! format-4/                     a copy of the database from before an upgrade (`open::upgrade`)
//! ```

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The name of the database file.
pub(crate) const DATABASE: &str = "lentil.sqlite3";

/// Returns the path of a database's write-ahead log.
pub(crate) fn wal(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

/// Returns the path of a database's shared memory.
pub(crate) fn shared_memory(database: &Path) -> PathBuf {
    with_suffix(database, "-shm")
}

/// Returns the path of the notes on a database's acknowledged commits.
pub(crate) fn acknowledged(database: &Path) -> PathBuf {
    with_suffix(database, "-acknowledged")
}

/// Returns the path to which a damaged log is copied.
pub(crate) fn damaged_wal(database: &Path) -> PathBuf {
    with_suffix(database, "-wal.damaged")
}

/// Returns the path of the lock file in a database's folder.
pub(crate) fn lock(database: &Path) -> PathBuf {
    database.with_file_name("lock")
}

fn with_suffix(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Opens a file that only its owner can read, or creates it.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}
