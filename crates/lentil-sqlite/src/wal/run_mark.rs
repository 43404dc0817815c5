//! The mark of a running server in the lock file. After a crash it tells the next start that notes
//! on acknowledged commits must exist.
//!
//! Without notes a start cannot distinguish an intact log from a damaged one. But a database that
//! was stopped cleanly, or restored from a copy, needs no notes. So each server writes the number
//! of its run into the database, and then a mark into the lock file. A clean stop removes the mark:
//!
//! ```text
//! no mark, or the mark of another run                 a clean stop, or a copy of another run
//! this run's mark, and it names another database      a restored copy of this run
//! this run's mark, and it names this database         a crash: notes must exist
//! ```
//!
//! A mark that was copied with the whole folder names files elsewhere. Then only the number of the
//! run counts.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use lentil_store::Timestamp;

use crate::files;

/// The contents of the lock file while a server runs.
#[derive(PartialEq, Eq)]
struct RunMark {
    run: String,
    lock: String,
    database: String,
}

impl RunMark {
    fn of(lock: &File, database: &Path, run: Timestamp) -> io::Result<RunMark> {
        Ok(RunMark {
            run: run.as_nanos().to_string(),
            lock: identity(&lock.metadata()?),
            database: identity(&database.metadata()?),
        })
    }

    /// Reads `"<run> <lock> <database>"`.
    fn parse(text: &str) -> Option<RunMark> {
        let mut words = text.split_whitespace().map(str::to_owned);
        Some(RunMark {
            run: words.next()?,
            lock: words.next()?,
            database: words.next()?,
        })
    }

    fn read(lock: &File) -> io::Result<Option<RunMark>> {
        let mut text = Vec::new();
        lock.take(1_024).read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        Ok(RunMark::parse(&text))
    }
}

/// Returns a file's inode and creation time.
///
/// The inode is not enough, because a new file may get it. The device is left out, because its
/// number changes when the machine restarts.
fn identity(file: &Metadata) -> String {
    let created = file.created().ok();
    let created = created.and_then(|created| created.duration_since(UNIX_EPOCH).ok());
    format!("{}.{}", file.ino(), created.unwrap_or_default().as_nanos())
}

/// Writes the mark of this run. The number of the run must be in the database already.
pub(crate) fn begin(lock: &File, database: &Path, run: Timestamp) -> io::Result<()> {
    let mark = RunMark::of(lock, database, run)?;
    let text = format!("{} {} {}\n", mark.run, mark.lock, mark.database);
    // Written in place: the file is locked, and a new file would not be.
    lock.set_len(0)?;
    lock.write_all_at(text.as_bytes(), 0)?;
    lock.sync_all()
}

/// Removes the mark. Every acknowledged commit must be in the database.
pub(crate) fn end(database: &Path) -> io::Result<()> {
    let lock = File::options().write(true).open(files::lock(database))?;
    lock.set_len(0)?;
    lock.sync_all()
}

/// Returns whether the run that the database names did not stop cleanly.
pub(crate) fn has_crashed(lock: &File, database: &Path, run: Timestamp) -> io::Result<bool> {
    let Some(mark) = RunMark::read(lock)? else {
        return Ok(false);
    };
    let now = RunMark::of(lock, database, run)?;
    let is_copied = mark.lock != now.lock;
    Ok(mark.run == now.run && (is_copied || mark.database == now.database))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn mark_counts_for_its_run_in_place_or_in_a_copied_folder() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("database");
        let lock_path = files::lock(&database);
        fs::write(&database, "a").unwrap();
        fs::write(&lock_path, "").unwrap();
        let open = || {
            let options = &mut File::options();
            options.read(true).write(true).open(&lock_path).unwrap()
        };
        let run = Timestamp::from_nanos(7);
        let other = Timestamp::from_nanos(8);
        let has_crashed = |run| has_crashed(&open(), &database, run).unwrap();
        assert!(!has_crashed(run), "there is no mark");
        begin(&open(), &database, run).unwrap();
        assert!(has_crashed(run));
        assert!(!has_crashed(other), "the database is from another run");

        fs::copy(&database, folder.path().join("copy")).unwrap();
        fs::rename(folder.path().join("copy"), &database).unwrap();
        assert!(!has_crashed(run), "another file is in its place");
        fs::copy(&lock_path, folder.path().join("copy")).unwrap();
        fs::rename(folder.path().join("copy"), &lock_path).unwrap();
        assert!(has_crashed(run), "the lock file is a copy too");

        end(&database).unwrap();
        assert!(!has_crashed(run), "the stop was clean");
        fs::write(&lock_path, "gar\u{0}bage").unwrap();
        assert!(!has_crashed(run));
    }
}
