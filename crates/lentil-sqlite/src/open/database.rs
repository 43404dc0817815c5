//! Opening the data folder: the lock, the files' permissions, and whose database it is.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lentil_store::{Catalog, Timestamp};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::SqliteOptions;
use crate::checkpoint;
use crate::connection;
use crate::open::error::{OpenError, damaged, of_file, refused, shown};
use crate::open::upgrade::{keep_copy, upgrade};
use crate::tables::format::{self, APPLICATION_ID, FORMAT_VERSION, check_tables};
use crate::wal::acknowledged::{self, Acknowledged};
use crate::wal::log::{self, Wal};
use crate::wal::loss::{self, Log, Loss};
use crate::wal::run_mark;

const FILE: &str = "lentil.sqlite3";
const HOUR_NANOS: u64 = 60 * 60 * 1_000_000_000;
const DAY_NANOS: u64 = 24 * HOUR_NANOS;

/// An opened database.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) writer: Connection,
    pub(crate) wal: Wal,
    pub(crate) catalog: Catalog,
    /// No commit in it is later.
    pub(crate) last: Timestamp,
    /// The ceiling of timestamps that the file has without its log.
    pub(crate) base: Timestamp,
    pub(crate) lock: File,
}

/// Opens the database in a folder, or creates one; brings it to the present format.
pub(crate) fn open(folder: &Path, options: &SqliteOptions) -> Result<Opened, OpenError> {
    let clock = &*options.clock;
    make_folder(folder).map_err(|io| OpenError::Folder {
        path: shown(folder),
        io,
    })?;
    let lock = lock(folder)?;
    let path = folder.join(FILE);
    let log = find_or_create(folder, &path, options)?;
    let ceiling_without_log = read_ceiling_without_log(&path);
    if log.is_ahead_of(ceiling_without_log) {
        return Err(foreign_log(&path));
    }
    let writer = connection::open(&path).map_err(|error| refused(&path, error))?;
    // Until the database is accepted, closing it again must not copy its log into it.
    let keep_log = |keep| {
        let kept = writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep);
        kept.map(drop).map_err(|error| refused(&path, error))
    };
    keep_log(fs::metadata(log::path_of(&path)).is_ok())?;
    let (catalog, last) = accept(&path, &writer)?;
    if log.is_behind(ceiling_without_log, last) {
        return Err(foreign_log(&path));
    }
    if matches!(log, Log::Unnoted) {
        accept_missing_notes(&path, &writer, &lock, options)?;
    }
    if let Some(loss) = log.loss(last) {
        if matches!(log, Log::Other(_)) {
            accept_loss(&path, &loss, options)?;
        }
        check_structure(&path, &writer)?;
    }
    check_clock(&path, &writer, last, options)?;
    keep_log(false)?;
    connection::configure_writer(&writer).map_err(|error| refused(&path, error))?;
    upgrade(&writer, &catalog).map_err(|error| refused(&path, error))?;
    check_tables(&writer, &catalog).map_err(|error| damaged(&path, error))?;
    // What a client saw of a later state, before this folder was restored from a copy, must not be ahead of us.
    let last = last.next(clock.now());
    format::write_timestamp_lease(&writer, last)
        .and_then(|()| format::write_run(&writer, last))
        .map_err(|error| refused(&path, error))?;
    let is_copied = checkpoint::copy_all(&writer, "PASSIVE")
        .map_err(io::Error::other)
        .map_err(of_file(&path))?;
    connection::sync_no_commits(&writer).map_err(|error| refused(&path, error))?;
    let wal = begin_notes(&path, &writer)
        .and_then(|wal| run_mark::begin(&lock, &path, last).map(|()| wal))
        .map_err(of_file(&log::path_of(&path)))?;
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

/// Checks the database's file and log before SQLite opens them, or creates a database.
fn find_or_create(folder: &Path, path: &Path, options: &SqliteOptions) -> Result<Log, OpenError> {
    let Some(found) = header(path)? else {
        create(folder, path, options)?;
        return Ok(Log::Whole {
            base: Timestamp::MIN,
        });
    };
    check(path, &found)?;
    keep_copy(path, found.format_version).map_err(of_file(path))?;
    let log = find_log(path, &found)?;
    if let Log::Damaged(loss) = &log {
        accept_loss(path, loss, options)?;
    }
    Ok(log)
}

/// The pages of this log and those of the database beside it would be mixed.
fn foreign_log(path: &Path) -> OpenError {
    let log = shown(&log::path_of(path));
    OpenError::ForeignLog { log }
}

/// Reads the ceiling of timestamps in the database file alone, which its own log can only raise. Returns `None` if it
/// cannot be read, as when the log has the rest of a checkpoint that was interrupted.
fn read_ceiling_without_log(path: &Path) -> Option<Timestamp> {
    let conn = connection::open_without_log(path).ok()?;
    format::read_timestamp_lease(&conn).ok()
}

/// Compares the log of an existing database with the note on acknowledged commits.
fn find_log(path: &Path, header: &Header) -> Result<Log, OpenError> {
    let log = log::path_of(path);
    if header.is_in_wal_mode {
        return Log::find(path).map_err(of_file(&log));
    }
    // A copy made by `VACUUM INTO`: the server never leaves a database in this mode.
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(foreign_log(path));
    }
    Ok(Log::Whole {
        base: Timestamp::MIN,
    })
}

/// Refuses a database from which acknowledged commits are missing, unless that is accepted.
fn accept_loss(path: &Path, loss: &Loss, options: &SqliteOptions) -> Result<(), OpenError> {
    let log = shown(&log::path_of(path));
    let (acknowledged, intact) = (loss.acknowledged, loss.intact);
    if !options.accept_data_loss {
        return Err(OpenError::DataLoss {
            log,
            acknowledged,
            intact,
        });
    }
    tracing::error!(
        log,
        acknowledged,
        intact,
        "starting without acknowledged commits; the name of the damaged log's copy ends in `.damaged`"
    );
    loss.set_log_aside(path)
        .map_err(|io| OpenError::File { path: log, io })
}

/// Refuses a database whose last server did not stop cleanly and left no notes, unless that is accepted.
fn accept_missing_notes(
    path: &Path,
    conn: &Connection,
    lock: &File,
    options: &SqliteOptions,
) -> Result<(), OpenError> {
    let run = format::read_run(conn).map_err(|error| refused(path, error))?;
    let Some(run) = run else {
        return Ok(());
    };
    let has_crashed =
        run_mark::has_crashed(lock, path, run).map_err(of_file(&log::lock_of(path)))?;
    if !has_crashed {
        return Ok(());
    }
    let notes = shown(&acknowledged::path_of(path));
    if !options.accept_data_loss {
        return Err(OpenError::NotesMissing { notes });
    }
    tracing::error!(
        notes,
        "starting without the notes on acknowledged commits; commits may be missing"
    );
    check_structure(path, conn)
}

/// Checks the structure of a database from which commits are missing.
fn check_structure(path: &Path, conn: &Connection) -> Result<(), OpenError> {
    match loss::find_damage(conn).map_err(|error| refused(path, error))? {
        None => Ok(()),
        Some(reason) => Err(OpenError::Corrupt {
            path: shown(path),
            reason,
        }),
    }
}

/// Begins the notes on acknowledged commits: so far none is in the log alone.
fn begin_notes(path: &Path, conn: &Connection) -> io::Result<Wal> {
    let acknowledged = Acknowledged::open(path)?;
    let wal = Wal::of(conn, path, Arc::new(acknowledged))?;
    wal.claim_nothing()?;
    Ok(wal)
}

/// Reads what there is, and refuses what cannot be worked with.
fn accept(path: &Path, conn: &Connection) -> Result<(Catalog, Timestamp), OpenError> {
    let failed = |error| refused(path, error);
    // Once more, for what the header says may be overwritten in the log.
    let application_id = conn
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(failed)?;
    let format_version = format::read_version(conn).map_err(failed)?;
    check(
        path,
        &Header {
            is_sqlite: true,
            is_in_wal_mode: true,
            application_id,
            format_version,
        },
    )?;
    let last = format::read_timestamp_lease(conn).map_err(failed)?;
    let catalog = format::read_catalog(conn).map_err(|error| damaged(path, error))?;
    Ok((catalog, last))
}

/// Refuses a last commit that is far ahead of the clock, unless that was accepted, now or before.
///
/// The acceptance lasts until the clock has caught up: timestamps continue from the last commit.
fn check_clock(
    path: &Path,
    conn: &Connection,
    last: Timestamp,
    options: &SqliteOptions,
) -> Result<(), OpenError> {
    let failed = |error| refused(path, error);
    let accepted = format::read_accepted_time(conn).map_err(failed)?;
    let now = options.clock.now();
    let ahead = last.as_nanos().saturating_sub(now.as_nanos());
    let unaccepted = last.as_nanos().saturating_sub(now.max(accepted).as_nanos());
    if unaccepted <= DAY_NANOS {
        return Ok(());
    }
    let hours = ahead / HOUR_NANOS;
    if !options.accept_clock_change {
        return Err(OpenError::ClockBehind {
            path: shown(path),
            hours,
        });
    }
    tracing::warn!(
        hours,
        "the last commit is ahead of the clock; timestamps continue from it"
    );
    format::write_accepted_time(conn, last).map_err(failed)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
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

fn lock(folder: &Path) -> Result<File, OpenError> {
    let file = open_private(&log::lock_of(&folder.join(FILE)));
    let file = file.map_err(|io| OpenError::Folder {
        path: shown(folder),
        io,
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            path: shown(folder),
        }),
        Err(TryLockError::Error(io)) => Err(OpenError::Folder {
            path: shown(folder),
            io,
        }),
    }
}

/// What a file's header says of itself.
struct Header {
    is_sqlite: bool,
    is_in_wal_mode: bool,
    application_id: u32,
    format_version: u32,
}

/// Reads the header without SQLite, which would already change files; `None` when there is no file.
fn header(path: &Path) -> Result<Option<Header>, OpenError> {
    let failed = of_file(path);
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(io) => return Err(failed(io)),
    };
    let mut bytes = Vec::new();
    file.by_ref()
        .take(100)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let number = |at: usize| {
        bytes
            .get(at..at + 4)
            .map_or(0, |four| u32::from_be_bytes(four.try_into().expect("four")))
    };
    let is_sqlite = bytes.len() == 100 && bytes.starts_with(b"SQLite format 3\0");
    Ok(Some(Header {
        is_sqlite,
        is_in_wal_mode: bytes.get(18) == Some(&2),
        application_id: number(68),
        format_version: number(60),
    }))
}

fn check(path: &Path, header: &Header) -> Result<(), OpenError> {
    if !header.is_sqlite || header.application_id != APPLICATION_ID {
        return Err(OpenError::Foreign { path: shown(path) });
    }
    if header.format_version > FORMAT_VERSION {
        return Err(OpenError::Newer {
            path: shown(path),
            found: header.format_version,
        });
    }
    Ok(())
}

/// Makes a database under another name, whole and durable, and only then gives it its own.
fn create(folder: &Path, path: &Path, options: &SqliteOptions) -> Result<(), OpenError> {
    let failed = of_file(path);
    // Another database's log would be taken for the new one's.
    if fs::metadata(log::path_of(path)).is_ok_and(|log| log.len() > 0) {
        return Err(OpenError::Beheaded { path: shown(path) });
    }
    if let Some(loss) = Loss::of_everything(path).map_err(failed)? {
        accept_loss(path, &loss, options)?;
    }
    let new = folder.join(format!("{FILE}.new"));
    let _ = fs::remove_file(&new);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(failed)?;
    let conn = Connection::open(&new).map_err(|error| failed(io::Error::other(error)))?;
    let created = format::create(&conn, Timestamp::MIN.next(options.clock.now()))
        .and_then(|()| conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())));
    created.map_err(|error| failed(io::Error::other(error)))?;
    conn.close()
        .map_err(|(_, error)| failed(io::Error::other(error)))?;
    file.sync_all().map_err(failed)?;
    fs::rename(&new, path).map_err(failed)?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}
