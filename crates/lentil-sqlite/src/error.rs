use lentil_store::StoreError;
use rusqlite::ErrorCode;
use rusqlite::ffi;

/// What SQLite's error means to the layer above.
pub(crate) fn store_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Failed(error.to_string()),
    }
}

/// Whether the operating system said that it may have dropped what was to be made durable.
///
/// After that nothing the file says can be trusted in this process: the pages count as clean and are gone.
pub(crate) fn is_failed_sync(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    matches!(extended, Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC))
}
