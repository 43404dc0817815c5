//! Opening the data folder: the lock, the files' permissions, and whose database it is.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lentil_store::{Catalog, Clock, StoreError, Timestamp};
use rusqlite::{Connection, OpenFlags};

use crate::format::{self, APPLICATION_ID, FORMAT_VERSION};

const FILE: &str = "lentil.sqlite3";
const DAY_NANOS: u64 = 24 * 60 * 60 * 1_000_000_000;
/// How long one connection waits for another, such as a `sqlite3` that someone has open.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the database cannot be opened. It is left as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Make the folder writable, or choose another.
    #[error("the data folder {path} cannot be used: {io}; make it a folder that you can write to, or choose another")]
    Folder {
        /// The folder.
        path: String,
        /// What the system said.
        io: io::Error,
    },
    /// Stop the other server, or choose another folder.
    #[error("the data folder {path} is in use by another server; stop that one, or choose another folder")]
    Locked {
        /// The folder.
        path: String,
    },
    /// Make the file readable and writable.
    #[error("the database {path} cannot be read and written: {io}; check its permissions and the disk")]
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
    /// Restore a copy.
    #[error("the database {path} is damaged: {reason}; restore a copy of the data folder")]
    Corrupt {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Set the clock.
    #[error("the last commit in {path} is more than a day ahead of the clock; set the clock right, then start again")]
    ClockBehind {
        /// The file.
        path: String,
    },
    /// Free some memory.
    #[error("a thread could not be started: {0}")]
    Thread(io::Error),
}

/// An opened database.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) writer: Connection,
    pub(crate) catalog: Catalog,
    pub(crate) last: Timestamp,
    pub(crate) lock: File,
}

pub(crate) fn open(folder: &Path, clock: &dyn Clock) -> Result<Opened, OpenError> {
    make_folder(folder).map_err(|io| OpenError::Folder { path: shown(folder), io })?;
    let lock = lock(folder)?;
    let path = folder.join(FILE);
    match header(&path)? {
        Some(found) => check(&path, found)?,
        None => create(folder, &path, clock)?,
    }
    let failed = |error: rusqlite::Error| OpenError::Corrupt { path: shown(&path), reason: error.to_string() };
    let conn = writer(&path).map_err(failed)?;
    let last = format::read_timestamp(&conn).map_err(failed)?;
    let catalog = format::read_catalog(&conn).map_err(|error| match error {
        StoreError::Corrupt(reason) => OpenError::Corrupt { path: shown(&path), reason },
        other => OpenError::Corrupt { path: shown(&path), reason: other.to_string() },
    })?;
    if last.as_nanos() > clock.now().as_nanos().saturating_add(DAY_NANOS) {
        return Err(OpenError::ClockBehind { path: shown(&path) });
    }
    Ok(Opened { path, writer: conn, catalog, last, lock })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|io| OpenError::Folder { path: shown(folder), io })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: shown(folder) }),
        Err(TryLockError::Error(io)) => Err(OpenError::Folder { path: shown(folder), io }),
    }
}

/// What a file's header says of itself.
struct Header {
    is_sqlite: bool,
    application_id: u32,
    format_version: u32,
}

/// Reads the header without SQLite, which would already change files; `None` when there is no file.
fn header(path: &Path) -> Result<Option<Header>, OpenError> {
    let failed = |io| OpenError::File { path: shown(path), io };
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(io) => return Err(failed(io)),
    };
    let mut bytes = Vec::new();
    file.by_ref().take(100).read_to_end(&mut bytes).map_err(failed)?;
    let number = |at: usize| bytes.get(at..at + 4).map_or(0, |four| u32::from_be_bytes(four.try_into().expect("four")));
    let is_sqlite = bytes.len() == 100 && bytes.starts_with(b"SQLite format 3\0");
    Ok(Some(Header { is_sqlite, application_id: number(68), format_version: number(60) }))
}

fn check(path: &Path, header: Header) -> Result<(), OpenError> {
    if !header.is_sqlite || header.application_id != APPLICATION_ID {
        return Err(OpenError::Foreign { path: shown(path) });
    }
    if header.format_version > FORMAT_VERSION {
        return Err(OpenError::Newer { path: shown(path), found: header.format_version });
    }
    Ok(())
}

/// Makes a database under another name, whole and durable, and only then gives it its own.
fn create(folder: &Path, path: &Path, clock: &dyn Clock) -> Result<(), OpenError> {
    let failed = |io| OpenError::File { path: shown(path), io };
    let new = folder.join(format!("{FILE}.new"));
    let _ = fs::remove_file(&new);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(failed)?;
    let conn = Connection::open(&new).map_err(|error| failed(io::Error::other(error)))?;
    let created = format::create(&conn, Timestamp::MIN.next(clock.now()))
        .and_then(|()| conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())));
    created.map_err(|error| failed(io::Error::other(error)))?;
    conn.close().map_err(|(_, error)| failed(io::Error::other(error)))?;
    file.sync_all().map_err(failed)?;
    fs::rename(&new, path).map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// A connection that may write.
pub(crate) fn writer(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(128);
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    conn.pragma_update(None, "cache_size", -8_192)?;
    Ok(conn)
}

/// A connection that reads.
pub(crate) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(128);
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "cache_size", -2_048)?;
    Ok(conn)
}
