//! Opening the data folder: the lock, the files' permissions, and whose database it is.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lentil_store::{Catalog, StoreError, Timestamp};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use crate::acknowledged::{self, Acknowledged};
use crate::format::{self, APPLICATION_ID, FORMAT_VERSION, check_trees};
use crate::loss::{self, Log, Loss};
use crate::upgrade::{keep_copy, upgrade};
use crate::wal::{self, Wal};
use crate::{SqliteOptions, checkpoint, connection, run_mark};

const FILE: &str = "lentil.sqlite3";
const HOUR_NANOS: u64 = 60 * 60 * 1_000_000_000;
const DAY_NANOS: u64 = 24 * HOUR_NANOS;

/// Why the database cannot be opened. It is left as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Make the folder writable, or choose another.
    #[error(
        "the data folder {path} cannot be used: {io}; make it a folder that you can write to, or choose another"
    )]
    Folder {
        /// The folder.
        path: String,
        /// What the system said.
        io: io::Error,
    },
    /// Stop the other server, or choose another folder.
    #[error(
        "the data folder {path} is in use by another server; stop that one, or choose another folder"
    )]
    Locked {
        /// The folder.
        path: String,
    },
    /// Make the file readable and writable.
    #[error(
        "the database {path} cannot be read and written: {io}; check its permissions and the disk"
    )]
    File {
        /// The file.
        path: String,
        /// What the system said.
        io: io::Error,
    },
    /// Move the file away, or choose another folder.
    #[error("{path} is not a Lentil database; move it away, or choose another data folder")]
    Foreign {
        /// The file.
        path: String,
    },
    /// Use the newer version that wrote it.
    #[error(
        "the database {path} has format {found}, and this version knows formats up to {FORMAT_VERSION}; use a newer version"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its format.
        found: u32,
    },
    /// End what the other program does with it.
    #[error(
        "the database {path} is locked by another program; end what that does with it, then start again"
    )]
    Busy {
        /// The file.
        path: String,
    },
    /// Put the database back beside its log, or move the log away.
    #[error(
        "{path} is gone, and its write-ahead log is there; put the database back, or move the log away"
    )]
    Beheaded {
        /// The file that is gone.
        path: String,
    },
    /// Restore a copy.
    #[error("the database {path} is damaged: {reason}; restore a copy of the data folder")]
    Corrupt {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Restore the log or a copy, or accept the loss.
    #[error(
        "acknowledged commits are missing: of {acknowledged} frames of the write-ahead log {log} that held them, \
         {intact} are intact; the log was damaged, cut or removed, or the folder was copied while a server wrote. \
         Restore the log or a copy of the data folder, or pass --accept-data-loss to go on without the missing commits, \
         also if you have just restored a copy of the database alone"
    )]
    DataLoss {
        /// The log.
        log: String,
        /// The number of frames that held acknowledged commits.
        acknowledged: u32,
        /// The number of them that are intact.
        intact: u32,
    },
    /// Restore the file or a copy, or accept that commits may be missing.
    #[error(
        "{notes} is missing or damaged, and the last server did not stop well: without it acknowledged commits may be \
         missing unnoticed. Restore it or a copy of the data folder, or pass --accept-data-loss to go on with what is in \
         the database and its log, also if you have just restored a copy of the database alone"
    )]
    NotesMissing {
        /// The file that notes which commits are acknowledged.
        notes: String,
    },
    /// Move the log away.
    #[error(
        "the write-ahead log {log} belongs to another database than the copy beside it; move the log away, then start again"
    )]
    ForeignLog {
        /// The log.
        log: String,
    },
    /// Set the clock, or accept the time of the last commit.
    #[error(
        "the last commit in {path} is {hours} hours ahead of the clock. Either the clock was ahead when the server last \
         ran, or it is behind now. If it is behind, set it right; if it was ahead, pass --accept-clock-change to go on \
         from the time of the last commit"
    )]
    ClockBehind {
        /// The file.
        path: String,
        /// The difference in whole hours.
        hours: u64,
    },
    /// Free some memory.
    #[error("a thread could not be started: {0}")]
    Thread(io::Error),
}

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

pub(crate) fn open(folder: &Path, options: &SqliteOptions) -> Result<Opened, OpenError> {
    let clock = &*options.clock;
    make_folder(folder).map_err(|io| OpenError::Folder {
        path: shown(folder),
        io,
    })?;
    let lock = lock(folder)?;
    let path = folder.join(FILE);
    let log = match header(&path)? {
        Some(found) => {
            check(&path, &found)?;
            keep_copy(&path, found.format_version).map_err(|io| OpenError::File {
                path: shown(&path),
                io,
            })?;
            find_log(&path, &found)?
        }
        None => {
            create(folder, &path, options)?;
            Log::Whole
        }
    };
    if let Log::Damaged(loss) = &log {
        accept_loss(&path, loss, options)?;
    }
    let writer = connection::open(&path).map_err(|error| refused(&path, error))?;
    // Until the database is accepted, closing it again must not copy its log into it.
    let keep_log = |keep| {
        let kept = writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep);
        kept.map(drop).map_err(|error| refused(&path, error))
    };
    keep_log(fs::metadata(wal::path_of(&path)).is_ok())?;
    let (catalog, last) = accept(&path, &writer)?;
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
    check_trees(&writer, &catalog).map_err(|error| damaged(&path, error))?;
    // What a client saw of a later state, before this folder was restored from a copy, must not be ahead of us.
    let last = last.next(clock.now());
    format::write_ceiling(&writer, last)
        .and_then(|()| format::write_run(&writer, last))
        .map_err(|error| refused(&path, error))?;
    let is_copied = checkpoint::copy_all(&writer, "PASSIVE").map_err(|error| OpenError::File {
        path: shown(&path),
        io: io::Error::other(error),
    })?;
    connection::sync_no_commits(&writer).map_err(|error| refused(&path, error))?;
    let wal = begin_notes(&path, &writer)
        .and_then(|wal| run_mark::begin(&lock, &path, last).map(|()| wal))
        .map_err(|io| OpenError::File {
            path: shown(&wal::path_of(&path)),
            io,
        })?;
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

/// Compares the log of an existing database with the note on acknowledged commits.
fn find_log(path: &Path, header: &Header) -> Result<Log, OpenError> {
    let log = wal::path_of(path);
    if header.is_in_wal_mode {
        return Log::find(path).map_err(|io| OpenError::File {
            path: shown(&log),
            io,
        });
    }
    // A copy made by `VACUUM INTO`: the server never leaves a database in this mode.
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(OpenError::ForeignLog { log: shown(&log) });
    }
    Ok(Log::Whole)
}

/// Refuses a database from which acknowledged commits are missing, unless that is accepted.
fn accept_loss(path: &Path, loss: &Loss, options: &SqliteOptions) -> Result<(), OpenError> {
    let log = shown(&wal::path_of(path));
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

/// Refuses a database whose last server did not stop well and left no notes, unless that is accepted.
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
    let has_crashed = run_mark::has_crashed(lock, path, run).map_err(|io| OpenError::File {
        path: shown(&wal::lock_of(path)),
        io,
    })?;
    if !has_crashed {
        return Ok(());
    }
    let notes = shown(&acknowledged::path_of(path));
    if !options.accept_data_loss {
        return Err(OpenError::NotesMissing { notes });
    }
    tracing::error!(
        notes,
        "going on without the notes on what was acknowledged; commits may be missing"
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
    let last = format::read_ceiling(conn).map_err(failed)?;
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

fn damaged(path: &Path, error: StoreError) -> OpenError {
    let reason = match error {
        StoreError::Corrupt(reason) => reason,
        other => other.to_string(),
    };
    OpenError::Corrupt {
        path: shown(path),
        reason,
    }
}

/// What SQLite's error says about opening this file: the machine is in the way, another program is, or it is damaged.
pub(crate) fn refused(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = shown(path);
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Busy { path },
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::OutOfMemory,
        ) => OpenError::File {
            path,
            io: io::Error::other(error),
        },
        _ => OpenError::Corrupt {
            path,
            reason: error.to_string(),
        },
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = wal::lock_of(&folder.join(FILE));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
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
    let failed = |io| OpenError::File {
        path: shown(path),
        io,
    };
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
    let failed = |io| OpenError::File {
        path: shown(path),
        io,
    };
    // Another database's log would be taken for the new one's.
    if fs::metadata(wal::path_of(path)).is_ok_and(|log| log.len() > 0) {
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
