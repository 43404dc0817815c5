//! Making commits durable.
//!
//! SQLite would have the disk keep a commit within COMMIT, and no mutation could run on the connection as long as that
//! takes. So COMMIT only writes the log (`synchronous=NORMAL`), and the committer then has the disk keep it, while the
//! mutations of the next batch run:
//!
//! ```text
//! connection   batch 1 ──┐        ┌ batch 2 ·············─┐        ┌ batch 3 ···
//! committer              └ COMMIT ┴ fdatasync · told, …   └ COMMIT ┴ fdatasync · told, …
//! ```
//!
//! What the disk does not keep yet is neither told nor published nor acknowledged. A crash takes the end of the log
//! away, and with it the latest batches, whole. Whoever copies the log into the database has the disk keep it first,
//! which SQLite sees to.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::end_unkept;

/// The write-ahead log of a database. The file stays the same as long as any connection is open.
pub(crate) struct Wal(File);

impl Wal {
    /// The log of the database at this path, which a connection has read; that there is such a file is durable too.
    pub(crate) fn of(database: &Path) -> io::Result<Wal> {
        let path = path_of(database);
        let wal = File::open(&path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Wal(wal))
    }

    /// Has the disk keep all that was written. If it cannot, the process ends.
    pub(crate) fn sync(&self) {
        if let Err(error) = self.0.sync_data() {
            end_unkept(&error);
        }
    }
}

/// Where the log of the database at this path is.
pub(crate) fn path_of(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}
