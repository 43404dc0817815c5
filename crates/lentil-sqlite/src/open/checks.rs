//! Conditions under which a database opens only if the operator accepts them.

use std::fs::File;
use std::path::Path;

use lentil_store::Timestamp;
use rusqlite::Connection;

use super::error::{OpenError, of_file, refused, shown};
use crate::files;
use crate::options::SqliteOptions;
use crate::tables::format;
use crate::wal::loss::{self, Loss};
use crate::wal::run_mark;

const HOUR_NANOS: u64 = 60 * 60 * 1_000_000_000;
/// The time by which a last commit may be ahead of the clock.
const MAX_AHEAD_NANOS: u64 = 24 * HOUR_NANOS;

/// Refuses a database from which acknowledged commits are missing, unless the operator accepts
/// that.
pub(super) fn accept_loss(
    path: &Path,
    loss: &Loss,
    options: &SqliteOptions,
) -> Result<(), OpenError> {
    let log = shown(&files::wal(path));
    let Loss {
        acknowledged,
        intact,
        ..
    } = *loss;
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
        "starting without acknowledged commits; a copy of the damaged log ends in `.damaged`"
    );
    loss.set_log_aside(path)
        .map_err(|io| OpenError::File { path: log, io })
}

/// Refuses a database without notes whose last server did not stop cleanly, unless the operator
/// accepts that.
pub(super) fn accept_missing_notes(
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
        run_mark::has_crashed(lock, path, run).map_err(of_file(&files::lock(path)))?;
    if !has_crashed {
        return Ok(());
    }
    let notes = shown(&files::acknowledged(path));
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
pub(super) fn check_structure(path: &Path, conn: &Connection) -> Result<(), OpenError> {
    match loss::find_damage(conn).map_err(|error| refused(path, error))? {
        None => Ok(()),
        Some(reason) => Err(OpenError::Corrupt {
            path: shown(path),
            reason,
        }),
    }
}

/// Refuses a last commit that is far ahead of the clock, unless the operator accepts or has
/// accepted its time.
///
/// The acceptance lasts until the clock has caught up, because timestamps continue from the last
/// commit.
pub(super) fn check_clock(
    path: &Path,
    conn: &Connection,
    last: Timestamp,
    options: &SqliteOptions,
) -> Result<(), OpenError> {
    let failed = |error| refused(path, error);
    let accepted = format::read_accepted_time(conn).map_err(failed)?;
    let now = options.clock.now();
    let unaccepted = last.as_nanos().saturating_sub(now.max(accepted).as_nanos());
    if unaccepted <= MAX_AHEAD_NANOS {
        return Ok(());
    }
    let hours = last.as_nanos().saturating_sub(now.as_nanos()) / HOUR_NANOS;
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
