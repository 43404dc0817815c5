use std::fmt::Display;
use std::io::{self, Write};

use lentil_store::StoreError;
use rusqlite::ErrorCode;
use rusqlite::ffi;
use tokio::task::JoinError;

use crate::connection::BUSY_TIMEOUT;

/// Converts an error of SQLite. Ends the process if it is a failed fsync.
pub(crate) fn store_error(error: rusqlite::Error) -> StoreError {
    end_after_failed_fsync(&error);
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt(error.to_string())
        }
        // Another program has locked the database for longer than the connection waits.
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy {
            waited: BUSY_TIMEOUT,
        },
        _ => StoreError::Failed(error.to_string()),
    }
}

/// Converts an I/O error of one of the store's files.
pub(crate) fn failed_io(error: io::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

/// Converts the panic of a blocking task.
pub(crate) fn failed_task(error: JoinError) -> StoreError {
    StoreError::Failed(error.to_string())
}

/// Ends the process if the error is a failed fsync.
///
/// After a failed fsync the kernel may have dropped the pages and marked them clean. This process
/// can then trust nothing that it reads from the file, and a retry could succeed without writing
/// anything.
pub(crate) fn end_after_failed_fsync(error: &rusqlite::Error) {
    if is_failed_fsync(error) {
        end_after_failed_write(error);
    }
}

/// Ends the process because the disk did not store data that SQLite regards as written.
pub(crate) fn end_after_failed_write(error: &dyn Display) -> ! {
    end_process(&format!(
        "the disk failed to keep what was written ({error}); check the disk, then start again"
    ))
}

fn is_failed_fsync(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    matches!(
        extended,
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    )
}

/// Ends the process with this reason, so that no wrong result is acknowledged.
pub(crate) fn end_process(reason: &str) -> ! {
    tracing::error!("stopping: {reason}");
    // Unlike `eprintln`, this does not panic when the log is on a full disk.
    let _ = writeln!(io::stderr(), "stopping: {reason}");
    std::process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(extended: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(extended), None)
    }

    #[test]
    fn failed_fsync_differs_from_other_disk_errors() {
        assert!(is_failed_fsync(&failure(ffi::SQLITE_IOERR_FSYNC)));
        assert!(is_failed_fsync(&failure(ffi::SQLITE_IOERR_DIR_FSYNC)));
        assert!(!is_failed_fsync(&failure(ffi::SQLITE_IOERR_WRITE)));
        assert!(!is_failed_fsync(&failure(ffi::SQLITE_FULL)));
    }

    #[test]
    fn damage_differs_from_failure() {
        assert!(matches!(
            store_error(failure(ffi::SQLITE_CORRUPT_INDEX)),
            StoreError::Corrupt(_)
        ));
        assert!(matches!(
            store_error(failure(ffi::SQLITE_IOERR_READ)),
            StoreError::Failed(_)
        ));
        assert!(matches!(
            store_error(failure(ffi::SQLITE_BUSY_SNAPSHOT)),
            StoreError::Busy { .. }
        ));
    }
}
