use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use lentil_store::Timestamp;
use rusqlite::Connection;

use super::checks::accept_loss;
use super::error::{OpenError, of_file, shown};
use crate::files;
use crate::options::SqliteOptions;
use crate::tables::format;
use crate::wal::loss::Loss;

/// Creates a database. It gets its name only when it is complete and durable.
pub(super) fn create(folder: &Path, path: &Path, options: &SqliteOptions) -> Result<(), OpenError> {
    let failed = of_file(path);
    // SQLite would apply another database's log to the new one.
    if fs::metadata(files::wal(path)).is_ok_and(|log| log.len() > 0) {
        return Err(OpenError::DatabaseMissing { path: shown(path) });
    }
    if let Some(loss) = Loss::of_everything(path).map_err(failed)? {
        accept_loss(path, &loss, options)?;
    }

    let new = folder.join(format!("{}.new", files::DATABASE));
    // A start that failed may have left it.
    let _ = fs::remove_file(&new);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(failed)?;
    write_database(&new, Timestamp::MIN.next(options.clock.now()))
        .map_err(|error| failed(io::Error::other(error)))?;
    file.sync_all().map_err(failed)?;
    fs::rename(&new, path).map_err(failed)?;
    let folder = File::open(folder).map_err(failed)?;
    folder.sync_all().map_err(failed)
}

fn write_database(path: &Path, timestamp: Timestamp) -> rusqlite::Result<()> {
    let conn = Connection::open(path)?;
    format::create(&conn, timestamp)?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.close().map_err(|(_, error)| error)
}
