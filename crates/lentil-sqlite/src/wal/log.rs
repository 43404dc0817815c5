//! Making commits durable.
//!
//! SQLite would fsync within COMMIT, and no mutation could run on the connection as long as that takes. So COMMIT only
//! writes the log (`synchronous=NORMAL`), and the committer fsyncs it afterwards, while the mutations of the next batch
//! run:
//!
//! ```text
//! connection   batch 1 ──┐        ┌ batch 2 ·············─┐        ┌ batch 3 ···
//! committer              └ COMMIT ┴ fsync · notify, …     └ COMMIT ┴ fsync · notify, …
//! ```
//!
//! A commit that is not durable yet is neither published nor acknowledged. A crash takes the end of the log away, and
//! with it the latest batches, whole. SQLite fsyncs the log before it copies it into the database.
//!
//! After the fsync the committer notes how far the log is now acknowledged (see `acknowledged`), and checks that it is
//! still the file that the next start will find (see `guard`).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use crate::error::end_unkept;
use crate::wal::acknowledged::{Acknowledged, Note};
use crate::wal::file_guard::FileGuard;
use crate::wal::frames::LogEnd;

/// The write-ahead log of a database. The file stays the same as long as any connection is open.
pub(crate) struct Wal {
    file: File,
    page_size: u32,
    /// The files without which a commit would be lost.
    guard: FileGuard,
    acknowledged: Arc<Acknowledged>,
}

impl Wal {
    /// The log of the database at this path, which the connection has read. The name of the file is made durable.
    pub(crate) fn of(
        conn: &Connection,
        database: &Path,
        acknowledged: Arc<Acknowledged>,
    ) -> io::Result<Wal> {
        let path = path_of(database);
        let folder = path.parent().unwrap_or(Path::new("."));
        let file = File::open(&path)?;
        File::open(folder)?.sync_all()?;
        let page_size = conn
            .pragma_query_value(None, "page_size", |row| row.get(0))
            .map_err(io::Error::other)?;
        let guard = FileGuard::of([
            database.to_owned(),
            path,
            beside(database, "-shm"),
            lock_of(database),
        ])?;
        Ok(Wal {
            file,
            page_size,
            guard,
            acknowledged,
        })
    }

    /// Returns the end of a commit that left the log with this many frames.
    pub(crate) fn end(&self, frames: u32) -> LogEnd {
        LogEnd::read(&self.file, frames, self.page_size).unwrap_or_else(|error| end_unkept(&error))
    }

    /// Makes everything written so far durable, and notes its end. If that fails, the process ends.
    pub(crate) fn make_durable(&self, note: &Note) {
        if let Err(error) = self.file.sync_data() {
            end_unkept(&error);
        }
        if let Err(error) = self.acknowledged.write(note) {
            // The commit is durable anyway, and an older note claims less.
            tracing::warn!(%error, "cannot note which commits are acknowledged");
        }
        self.check_files();
    }

    /// Ends the process if a file that the next start needs was removed or replaced.
    pub(crate) fn check_files(&self) {
        self.guard.check();
    }

    /// Notes that everything is in the database, so that the log may be removed. It writes both slots, so that later
    /// notes need no more space on the disk.
    pub(crate) fn claim_nothing(&self) -> io::Result<()> {
        self.acknowledged.write(&Note::default())?;
        self.acknowledged.write(&Note::default())?;
        self.acknowledged.sync()
    }

    pub(crate) fn acknowledged(&self) -> Arc<Acknowledged> {
        Arc::clone(&self.acknowledged)
    }
}

/// Where the log of the database at this path is.
pub(crate) fn path_of(database: &Path) -> PathBuf {
    beside(database, "-wal")
}

/// The lock file of the folder of the database at this path.
pub(crate) fn lock_of(database: &Path) -> PathBuf {
    database.with_file_name("lock")
}

/// The path of a file that is named after the database.
pub(crate) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
