//! The check at the start that no acknowledged commit is missing (see `acknowledged`).

use std::path::Path;
use std::{fs, io};

use lentil_store::Timestamp;
use rusqlite::Connection;

use super::acknowledged::{self, Note};
use super::frames;
use crate::files;

/// The write-ahead log, compared with the note on acknowledged commits.
#[derive(Debug)]
pub(crate) enum LogState {
    /// The log holds every noted commit since the database file had the timestamp lease `base`.
    Whole { base: Timestamp },
    /// No note can be read.
    Unnoted,
    /// The note describes another log, so the database must hold every noted commit.
    Other(Note),
    /// Some noted frames are damaged or missing.
    Damaged(Loss),
}

/// A loss of acknowledged commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// The number of log frames that held acknowledged commits.
    pub(crate) acknowledged: u32,
    /// The number of these frames that are intact.
    pub(crate) intact: u32,
    /// The number of these frames that a checkpoint had copied into the database.
    copied: u32,
}

impl LogState {
    /// Compares the log of a database with the last note. SQLite must not have opened the database
    /// yet.
    pub(crate) fn find(database: &Path) -> io::Result<LogState> {
        let Some(note) = acknowledged::read(database)? else {
            return Ok(LogState::Unnoted);
        };
        if note.end.frames == 0 {
            return Ok(LogState::Other(note));
        }
        let Some(intact) = frames::count_intact(&files::wal(database), &note.end)? else {
            return Ok(LogState::Other(note));
        };
        if intact == note.end.frames {
            return Ok(LogState::Whole { base: note.base });
        }
        Ok(LogState::Damaged(Loss {
            acknowledged: note.end.frames,
            intact,
            copied: note.copied,
        }))
    }

    /// Returns whether the database file is an older copy, which lacks what the start had copied
    /// into it.
    ///
    /// `lease` is the timestamp lease of the database file alone.
    pub(crate) fn is_ahead_of(&self, lease: Option<Timestamp>) -> bool {
        match (self, lease) {
            (LogState::Whole { base }, Some(lease)) => lease < *base,
            _ => false,
        }
    }

    /// Returns whether the log is older than the database, given the timestamp leases without and
    /// with the log.
    pub(crate) fn is_behind(&self, without_log: Option<Timestamp>, with_log: Timestamp) -> bool {
        let is_unknown = matches!(self, LogState::Other(_) | LogState::Unnoted);
        is_unknown && without_log > Some(with_log)
    }

    /// Returns the loss, given the timestamp lease of the database with this log.
    pub(crate) fn loss(&self, lease: Timestamp) -> Option<Loss> {
        match self {
            LogState::Whole { .. } | LogState::Unnoted => None,
            LogState::Damaged(loss) => Some(*loss),
            // A database with a lease older than the base is a restored copy, to which the note
            // does not apply.
            LogState::Other(note) => {
                let is_missing = (note.base..note.lease).contains(&lease);
                is_missing.then_some(Loss {
                    acknowledged: note.end.frames,
                    intact: 0,
                    copied: note.copied,
                })
            }
        }
    }
}

impl Loss {
    /// Returns the loss if both the database and its log are missing.
    pub(crate) fn of_everything(database: &Path) -> io::Result<Option<Loss>> {
        let note = acknowledged::read(database)?.filter(|note| note.end.frames > 0);
        Ok(note.map(|note| Loss {
            acknowledged: note.end.frames,
            intact: 0,
            copied: note.copied,
        }))
    }

    /// Copies the damaged log to another name. Removes the log if the database is ahead of the
    /// log's intact part, whose older pages would replace newer ones.
    pub(crate) fn set_log_aside(&self, database: &Path) -> io::Result<()> {
        let log = files::wal(database);
        if !log.exists() {
            return Ok(());
        }
        // A copy, not a rename: SQLite still recovers the intact part.
        fs::copy(&log, files::damaged_wal(database))?;
        if self.intact > 0 && self.intact < self.copied {
            fs::remove_file(&log)?;
        }
        Ok(())
    }
}

/// Returns the fault that SQLite finds in the structure of a database from which commits are
/// missing.
pub(crate) fn find_damage(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let found: String = conn.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}
