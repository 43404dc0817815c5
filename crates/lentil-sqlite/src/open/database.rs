use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lentil_store::{Catalog, Timestamp};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::checks::{accept_loss, accept_missing_notes, check_clock, check_structure};
use super::create::create;
use super::error::{OpenError, damaged, of_file, refused, shown};
use super::header::Header;
use super::upgrade::{keep_copy, upgrade};
use crate::options::SqliteOptions;
use crate::tables::format;
use crate::wal::acknowledged::NoteFile;
use crate::wal::checkpoint::{self, Mode};
use crate::wal::log::Wal;
use crate::wal::loss::LogState;
use crate::wal::run_mark;
use crate::{connection, files};

/// An opened database.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) writer: Connection,
    pub(crate) wal: Wal,
    pub(crate) catalog: Catalog,
    /// The timestamp of this start. Every commit in the database is earlier.
    pub(crate) last: Timestamp,
    /// The timestamp lease in the database file without its log.
    pub(crate) base: Timestamp,
    /// The locked lock file.
    pub(crate) lock: File,
}

/// Opens the database in a folder or creates one, and upgrades it to the current format.
pub(crate) fn open(folder: &Path, options: &SqliteOptions) -> Result<Opened, OpenError> {
    let lock = lock_folder(folder)?;
    let path = folder.join(files::DATABASE);
    let log = find_or_create(folder, &path, options)?;
    let (writer, catalog, last) = accept(&path, &lock, &log, options)?;

    let failed = |error| refused(&path, error);
    set_keeps_log(&writer, false).map_err(failed)?;
    connection::configure_writer(&writer).map_err(failed)?;
    upgrade(&writer, &catalog).map_err(failed)?;
    format::check_tables(&writer, &catalog).map_err(|error| damaged(&path, error))?;

    // A client may have seen a later state before this folder was restored from a copy. That state
    // must not be ahead.
    let last = last.next(options.clock.now());
    format::write_timestamp_lease(&writer, last).map_err(failed)?;
    // Before the checkpoint, so that the database file has the number of the run too.
    format::write_run(&writer, last).map_err(failed)?;
    let is_copied = checkpoint::copy_all(&writer, Mode::Passive)
        .map_err(io::Error::other)
        .map_err(of_file(&path))?;
    // From here on the committer fsyncs the log.
    connection::disable_commit_fsync(&writer).map_err(failed)?;

    // The new notes before the mark: a mark says that notes exist.
    let log = files::wal(&path);
    let failed = of_file(&log);
    let wal = begin_notes(&path, &writer).map_err(failed)?;
    run_mark::begin(&lock, &path, last).map_err(failed)?;
    Ok(Opened {
        path,
        writer,
        wal,
        catalog,
        last,
        base: if is_copied { last } else { Timestamp::MIN },
        lock,
    })
}

/// Creates the folder if it does not exist, and locks it.
fn lock_folder(folder: &Path) -> Result<File, OpenError> {
    let failed = |io| OpenError::Folder {
        path: shown(folder),
        io,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed)?;
    let lock = files::lock(&folder.join(files::DATABASE));
    let file = files::open_private(&lock).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            path: shown(folder),
        }),
        Err(TryLockError::Error(io)) => Err(failed(io)),
    }
}

/// Checks the database's file and log before SQLite opens them, or creates a database.
fn find_or_create(
    folder: &Path,
    path: &Path,
    options: &SqliteOptions,
) -> Result<LogState, OpenError> {
    let Some(header) = Header::read(path)? else {
        create(folder, path, options)?;
        return Ok(LogState::Whole {
            base: Timestamp::MIN,
        });
    };
    header.check(path)?;
    keep_copy(path, header.format_version).map_err(of_file(path))?;
    let log = find_log(path, &header)?;
    if let LogState::Damaged(loss) = &log {
        accept_loss(path, loss, options)?;
    }
    Ok(log)
}

/// Compares the log of an existing database with the note on acknowledged commits.
fn find_log(path: &Path, header: &Header) -> Result<LogState, OpenError> {
    let log = files::wal(path);
    if header.is_in_wal_mode {
        return LogState::find(path).map_err(of_file(&log));
    }
    // A copy made by `VACUUM INTO`: a server never leaves its database in this mode.
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(foreign_log(path));
    }
    Ok(LogState::Whole {
        base: Timestamp::MIN,
    })
}

/// Opens an existing database with SQLite, and refuses one that must not be used as it is.
fn accept(
    path: &Path,
    lock: &File,
    log: &LogState,
    options: &SqliteOptions,
) -> Result<(Connection, Catalog, Timestamp), OpenError> {
    let lease_without_log = read_lease_without_log(path);
    if log.is_ahead_of(lease_without_log) {
        return Err(foreign_log(path));
    }
    let conn = connection::open(path).map_err(|error| refused(path, error))?;
    // If the database is refused below, closing it must not copy the log into it.
    let has_log = fs::metadata(files::wal(path)).is_ok();
    set_keeps_log(&conn, has_log).map_err(|error| refused(path, error))?;

    let (catalog, last) = read_contents(path, &conn)?;
    if log.is_behind(lease_without_log, last) {
        return Err(foreign_log(path));
    }
    if matches!(log, LogState::Unnoted) {
        accept_missing_notes(path, &conn, lock, options)?;
    }
    if let Some(loss) = log.loss(last) {
        // `find_or_create` has asked about a damaged log already.
        if matches!(log, LogState::Other(_)) {
            accept_loss(path, &loss, options)?;
        }
        check_structure(path, &conn)?;
    }
    check_clock(path, &conn, last, options)?;
    Ok((conn, catalog, last))
}

/// Returns the error of a log whose pages would be mixed with those of another database.
fn foreign_log(path: &Path) -> OpenError {
    OpenError::ForeignLog {
        log: shown(&files::wal(path)),
    }
}

/// Reads the timestamp lease in the database file alone. Its own log can only extend it.
///
/// Returns `None` if the file cannot be read alone, as when the log holds the rest of an
/// interrupted checkpoint.
fn read_lease_without_log(path: &Path) -> Option<Timestamp> {
    let conn = connection::open_without_log(path).ok()?;
    format::read_timestamp_lease(&conn).ok()
}

/// Sets whether closing the connection leaves the log as it is.
fn set_keeps_log(conn: &Connection, keeps: bool) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keeps)?;
    Ok(())
}

/// Reads the catalog and the timestamp lease of the database with its log.
fn read_contents(path: &Path, conn: &Connection) -> Result<(Catalog, Timestamp), OpenError> {
    let failed = |error| refused(path, error);
    // Checks the header again, because the log may hold a newer one.
    let header = Header {
        is_sqlite: true,
        is_in_wal_mode: true,
        application_id: conn
            .pragma_query_value(None, "application_id", |row| row.get(0))
            .map_err(failed)?,
        format_version: format::read_version(conn).map_err(failed)?,
    };
    header.check(path)?;
    let last = format::read_timestamp_lease(conn).map_err(failed)?;
    let catalog = format::read_catalog(conn).map_err(|error| damaged(path, error))?;
    Ok((catalog, last))
}

/// Begins the notes on acknowledged commits: the log holds none yet that the database lacks.
fn begin_notes(path: &Path, conn: &Connection) -> io::Result<Wal> {
    let notes = NoteFile::open(path)?;
    let wal = Wal::of(conn, path, Arc::new(notes))?;
    wal.claim_nothing()?;
    Ok(wal)
}
