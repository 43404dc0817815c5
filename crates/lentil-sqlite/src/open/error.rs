use std::io;
use std::path::Path;

use lentil_store::StoreError;
use rusqlite::ErrorCode;

use crate::tables::format::FORMAT_VERSION;

/// The reason why the database cannot be opened. The database stays unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Make the folder writable, or choose another.
    #[error(
        "the data folder {path} cannot be used: {io}; make it a writable folder, or choose another"
    )]
    Folder {
        /// The folder.
        path: String,
        /// The error of the operating system.
        io: io::Error,
    },
    /// Stop the other server, or choose another folder.
    #[error(
        "the data folder {path} is in use by another server; stop that server, or choose another \
         folder"
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
        /// The error of the operating system.
        io: io::Error,
    },
    /// Move the file away, or choose another folder.
    #[error("{path} is not a Lentil database; move it away, or choose another data folder")]
    Foreign {
        /// The file.
        path: String,
    },
    /// Use the newer version that wrote the file.
    #[error(
        "the database {path} has format {found}, and this version knows formats up to \
         {FORMAT_VERSION}; use a newer version"
    )]
    Newer {
        /// The file.
        path: String,
        /// The file's format.
        found: u32,
    },
    /// End the other program's transaction.
    #[error(
        "the database {path} is locked by another program; end that program's transaction, then \
         start again"
    )]
    Busy {
        /// The file.
        path: String,
    },
    /// Put the database back beside its log, or move the log away.
    #[error(
        "the database {path} is missing, and its write-ahead log exists; put the database back, or \
         move the log away"
    )]
    DatabaseMissing {
        /// The missing database.
        path: String,
    },
    /// Restore a copy.
    #[error("the database {path} is damaged: {reason}; restore a copy of the data folder")]
    Corrupt {
        /// The file.
        path: String,
        /// The fault.
        reason: String,
    },
    /// Restore the log or a copy, or accept the loss.
    #[error(
        "acknowledged commits are missing: of {acknowledged} frames of the write-ahead log {log} \
         that held them, {intact} are intact. The log was damaged, cut or removed, or the folder \
         was copied while a server wrote. Restore the log or a copy of the data folder. Or pass \
         --accept-data-loss to continue without the missing commits, also if you have just \
         restored a copy of the database alone"
    )]
    DataLoss {
        /// The log.
        log: String,
        /// The number of frames that held acknowledged commits.
        acknowledged: u32,
        /// The number of these frames that are intact.
        intact: u32,
    },
    /// Restore the file or a copy, or accept that commits may be missing.
    #[error(
        "{notes} is missing or damaged, and the last server did not stop cleanly. Without this \
         file acknowledged commits may be missing undetected. Restore it or a copy of the data \
         folder. Or pass --accept-data-loss to continue with the database and its log as they \
         are, also if you have just restored a copy of the database alone"
    )]
    NotesMissing {
        /// The file with the notes on acknowledged commits.
        notes: String,
    },
    /// Move the log away.
    #[error(
        "the write-ahead log {log} belongs to another database than the one beside it, or to \
         another state of it; move the log away, then start again"
    )]
    ForeignLog {
        /// The log.
        log: String,
    },
    /// Set the clock, or accept the time of the last commit.
    #[error(
        "the last commit in {path} is {hours} hours ahead of the clock. Either the clock was ahead \
         when the server last ran, or it is behind now. If it is behind, set it right; if it was \
         ahead, pass --accept-clock-change to continue from the time of the last commit"
    )]
    ClockBehind {
        /// The file.
        path: String,
        /// The difference in whole hours.
        hours: u64,
    },
    /// Free some memory.
    #[error("a thread cannot be started: {0}; free some memory")]
    Thread(io::Error),
}

/// Returns a conversion of I/O errors of this file.
pub(crate) fn of_file(path: &Path) -> impl Fn(io::Error) -> OpenError + Copy {
    |io| OpenError::File {
        path: shown(path),
        io,
    }
}

/// Returns the error of a database whose contents cannot be read.
pub(crate) fn damaged(path: &Path, error: StoreError) -> OpenError {
    let reason = match error {
        StoreError::Corrupt(reason) => reason,
        other => other.to_string(),
    };
    OpenError::Corrupt {
        path: shown(path),
        reason,
    }
}

/// Converts an error of SQLite: another program's lock, a failure of the machine, or damage.
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

pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
