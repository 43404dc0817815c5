use std::fmt::Display;
use std::io::{self, Write};

use lentil_store::StoreError;
use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::connection::BUSY_TIMEOUT;

/// What SQLite's error means to the layer above.
///
/// After a failed fsync there is no layer above any more.
pub(crate) fn store_error(error: rusqlite::Error) -> StoreError {
    end_after_failed_sync(&error);
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt(error.to_string())
        }
        // Another program has locked the database, for longer than a connection waits.
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy {
            waited: BUSY_TIMEOUT,
        },
        _ => StoreError::Failed(error.to_string()),
    }
}

/// Ends the process if the error is a failed fsync: no file content can then be trusted, and to try again would lie.
pub(crate) fn end_after_failed_sync(error: &rusqlite::Error) {
    if is_failed_sync(error) {
        end_unkept(error);
    }
}

/// Ends the process for the disk has failed to keep what was written.
pub(crate) fn end_unkept(error: &dyn Display) -> ! {
    end_process(&format!(
        "the disk failed to keep what was written ({error}); check it, then start again"
    ))
}

/// Returns whether the operating system said that it may have dropped what was to be made durable.
///
/// After that nothing the file says can be trusted in this process: the pages count as clean and are gone.
fn is_failed_sync(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    matches!(
        extended,
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    )
}

/// Stops so that nothing wrong is acknowledged, with a sentence on why.
pub(crate) fn end_process(why: &str) -> ! {
    tracing::error!("stopping: {why}");
    // Unlike `eprintln`, this does not panic when the log is on a full disk.
    let _ = writeln!(io::stderr(), "stopping: {why}");
    std::process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(extended: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(extended), None)
    }

    #[test]
    fn a_failed_fsync_is_told_from_other_failures_of_the_disk() {
        assert!(is_failed_sync(&failure(ffi::SQLITE_IOERR_FSYNC)));
        assert!(is_failed_sync(&failure(ffi::SQLITE_IOERR_DIR_FSYNC)));
        assert!(!is_failed_sync(&failure(ffi::SQLITE_IOERR_WRITE)));
        assert!(!is_failed_sync(&failure(ffi::SQLITE_FULL)));
    }

    #[test]
    fn damage_is_told_from_failure() {
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
