//! Records in the lock file that a server is running, so that the next start knows after a crash that there were notes
//! on acknowledged commits.
//!
//! Without the notes an intact log cannot be distinguished from a damaged one. But a database that was stopped cleanly,
//! or restored from a copy, needs none. So each run writes its number into the database and then a mark into the
//! lock file, and a clean stop removes the mark:
//!
//! ```text
//! no mark, or that of another run than the database's     a clean stop, or a copy of another run
//! the mark, and another database file than it names       a copy of the same run that was put in its place
//! the mark, and the file that it names                    a crash: the notes must be there
//! ```
//!
//! A mark that was itself copied, with the whole folder, names files elsewhere; the run's number alone counts then.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use lentil_store::Timestamp;

use crate::wal::log;

/// The contents of the lock file while a server runs.
#[derive(PartialEq, Eq)]
struct Mark {
    run: String,
    lock: String,
    database: String,
}

impl Mark {
    fn of(lock: &File, database: &Path, run: Timestamp) -> io::Result<Mark> {
        Ok(Mark {
            run: run.as_nanos().to_string(),
            lock: identity(&lock.metadata()?),
            database: identity(&database.metadata()?),
        })
    }

    fn read(lock: &File) -> io::Result<Option<Mark>> {
        let mut text = Vec::new();
        lock.take(1_024).read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        let mut words = text.split_whitespace().map(str::to_owned);
        let mut word = || words.next();
        Ok((|| {
            Some(Mark {
                run: word()?,
                lock: word()?,
                database: word()?,
            })
        })())
    }
}

/// Returns a file's inode and time of birth. A new file may get the inode alone, and a device gets another number after
/// a restart.
fn identity(file: &Metadata) -> String {
    let birth = file
        .created()
        .ok()
        .and_then(|birth| birth.duration_since(UNIX_EPOCH).ok());
    format!("{}.{}", file.ino(), birth.unwrap_or_default().as_nanos())
}

/// Marks that this run of a server has begun. Its number is in the database already.
pub(crate) fn begin(lock: &File, database: &Path, run: Timestamp) -> io::Result<()> {
    let mark = Mark::of(lock, database, run)?;
    let text = format!("{} {} {}\n", mark.run, mark.lock, mark.database);
    lock.set_len(0)?;
    lock.write_all_at(text.as_bytes(), 0)?;
    lock.sync_all()
}

/// Removes the mark: everything acknowledged is in the database.
pub(crate) fn end(database: &Path) -> io::Result<()> {
    let lock = File::options().write(true).open(log::lock_of(database))?;
    lock.set_len(0)?;
    lock.sync_all()
}

/// Returns whether the run with this number, which the database names, did not stop cleanly.
pub(crate) fn has_crashed(lock: &File, database: &Path, run: Timestamp) -> io::Result<bool> {
    let Some(mark) = Mark::read(lock)? else {
        return Ok(false);
    };
    let now = Mark::of(lock, database, run)?;
    let is_copied = mark.lock != now.lock;
    Ok(mark.run == now.run && (is_copied || mark.database == now.database))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_mark_counts_for_its_run_in_its_place_or_in_a_copied_folder() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("database");
        let lock_path = log::lock_of(&database);
        fs::write(&database, "a").unwrap();
        fs::write(&lock_path, "").unwrap();
        let open = || {
            let options = &mut File::options();
            options.read(true).write(true).open(&lock_path).unwrap()
        };
        let (run, other) = (Timestamp::from_nanos(7), Timestamp::from_nanos(8));
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
        assert!(!has_crashed(run), "it stopped well");
        fs::write(&lock_path, "gar\u{0}bage").unwrap();
        assert!(!has_crashed(run));
    }
}
