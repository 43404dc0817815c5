//! Making commits durable.
//!
//! With `synchronous=FULL`, COMMIT would fsync and block the write connection meanwhile. So COMMIT
//! only writes the log (`synchronous=NORMAL`), and the committer fsyncs the log afterwards, while
//! the mutations of the next batch execute:
//!
//! ```text
//! connection   batch 1 ──┐        ┌ batch 2 ·············─┐        ┌ batch 3 ···
//! committer              └ COMMIT ┴ fsync · notify, …     └ COMMIT ┴ fsync · notify, …
//! ```
//!
//! A commit is neither published nor acknowledged before its log frames are fsynced. A power loss
//! removes the end of the log, and with it the newest batches, each as a whole. SQLite fsyncs the
//! log before a checkpoint copies it into the database, so the database never holds a commit that
//! the log could lose.
//!
//! After the fsync the committer writes a note of how far the log is acknowledged (`acknowledged`).
//! It also checks that the paths still lead to the open files, so that the next start finds them
//! (`file_guard`).

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::acknowledged::{Note, NoteFile};
use super::file_guard::FileGuard;
use super::frames::LogEnd;
use crate::error::end_after_failed_write;
use crate::files;

/// The write-ahead log of a database. SQLite keeps the file until the last connection closes.
pub(crate) struct Wal {
    file: File,
    page_size: u32,
    /// Guards the files that the next start needs to find every commit.
    guard: FileGuard,
    notes: Arc<NoteFile>,
}

impl Wal {
    /// Opens the log of a database, and makes the log's name durable.
    ///
    /// The connection must have read the database, so that SQLite has created the log.
    pub(crate) fn of(conn: &Connection, database: &Path, notes: Arc<NoteFile>) -> io::Result<Wal> {
        let path = files::wal(database);
        let folder = path.parent().unwrap_or(Path::new("."));
        let file = File::open(&path)?;
        File::open(folder)?.sync_all()?;
        let page_size = conn
            .pragma_query_value(None, "page_size", |row| row.get(0))
            .map_err(io::Error::other)?;
        let guard = FileGuard::of([
            database.to_owned(),
            path,
            files::shared_memory(database),
            files::lock(database),
        ])?;
        Ok(Wal {
            file,
            page_size,
            guard,
            notes,
        })
    }

    /// Returns the end of the commit that left the log with this many frames.
    pub(crate) fn end(&self, frames: u32) -> LogEnd {
        LogEnd::read(&self.file, frames, self.page_size)
            .unwrap_or_else(|error| end_after_failed_write(&error))
    }

    /// Makes everything written so far durable, and writes the note on it. Ends the process if the
    /// fsync fails.
    pub(crate) fn make_durable(&self, note: &Note) {
        if let Err(error) = self.file.sync_data() {
            end_after_failed_write(&error);
        }
        if let Err(error) = self.notes.write(note) {
            // The commit is durable anyway. The older note claims less than the log holds.
            tracing::warn!(%error, "cannot note which commits are acknowledged");
        }
        self.check_files();
    }

    /// Ends the process if a file that the next start needs was removed or replaced.
    pub(crate) fn check_files(&self) {
        self.guard.check();
    }

    /// Notes that every commit is in the database, so that the log may be removed.
    ///
    /// It writes both slots of the file, so that later notes need no more disk space.
    pub(crate) fn claim_nothing(&self) -> io::Result<()> {
        self.notes.write(&Note::default())?;
        self.notes.write(&Note::default())?;
        self.notes.sync()
    }

    pub(crate) fn notes(&self) -> Arc<NoteFile> {
        Arc::clone(&self.notes)
    }
}
