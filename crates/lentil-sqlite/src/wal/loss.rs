//! Finds out at the start whether acknowledged commits are missing, as `acknowledged` explains.

use std::path::Path;
use std::{fs, io};

use lentil_store::Timestamp;
use rusqlite::Connection;

use crate::wal::acknowledged::{self, Note};
use crate::wal::frames;
use crate::wal::log;

/// The result of comparing the write-ahead log with the note on acknowledged commits.
#[derive(Debug)]
pub(crate) enum Log {
    /// It has everything that was noted, since the database without it had a ceiling of `base`.
    Whole { base: Timestamp },
    /// There are no notes, or none that can be read.
    Unnoted,
    /// It is not the log that the note describes: the database must have everything.
    Other(Note),
    /// Some of its frames are damaged or missing.
    Damaged(Loss),
}

/// Acknowledged commits are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// The number of frames of the log that held acknowledged commits.
    pub(crate) acknowledged: u32,
    /// The number of them that are intact.
    pub(crate) intact: u32,
    /// The number of them that were copied into the database before.
    copied: u32,
}

impl Log {
    /// Compares the log of the database at this path with the last note. SQLite has not opened it yet.
    pub(crate) fn find(database: &Path) -> io::Result<Log> {
        let Some(note) = acknowledged::read(database)? else {
            return Ok(Log::Unnoted);
        };
        if note.end.frames == 0 {
            return Ok(Log::Other(note));
        }
        let Some(intact) = frames::count_intact(&log::path_of(database), &note.end)? else {
            return Ok(Log::Other(note));
        };
        if intact == note.end.frames {
            return Ok(Log::Whole { base: note.base });
        }
        Ok(Log::Damaged(Loss {
            acknowledged: note.end.frames,
            intact,
            copied: note.copied,
        }))
    }

    /// Returns whether the database is an older copy: it lacks what was copied into it before the log began.
    pub(crate) fn is_ahead_of(&self, ceiling_without_log: Option<Timestamp>) -> bool {
        matches!(self, Log::Whole { base } if ceiling_without_log.is_some_and(|ceiling| ceiling < *base))
    }

    /// Returns whether the log is older than the database, given the ceilings without and with it.
    pub(crate) fn is_behind(&self, without: Option<Timestamp>, with: Timestamp) -> bool {
        matches!(self, Log::Other(_) | Log::Unnoted) && without > Some(with)
    }

    /// Returns the loss, given the ceiling that SQLite found in the database with this log.
    pub(crate) fn loss(&self, ceiling: Timestamp) -> Option<Loss> {
        match self {
            Log::Whole { .. } | Log::Unnoted => None,
            Log::Damaged(loss) => Some(*loss),
            // A database from before the server started is a restored copy.
            Log::Other(note) => {
                let is_missing = (note.base..note.ceiling).contains(&ceiling);
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
    /// Returns the loss where there is neither a database nor its log.
    pub(crate) fn of_everything(database: &Path) -> io::Result<Option<Loss>> {
        let note = acknowledged::read(database)?.filter(|note| note.end.frames > 0);
        Ok(note.map(|note| Loss {
            acknowledged: note.end.frames,
            intact: 0,
            copied: note.copied,
        }))
    }

    /// Keeps a copy of the damaged log, and removes it where the database is ahead of its intact part: its older
    /// pages would replace newer ones.
    pub(crate) fn set_log_aside(&self, database: &Path) -> io::Result<()> {
        let log = log::path_of(database);
        if !log.exists() {
            return Ok(());
        }
        fs::copy(&log, log::beside(database, "-wal.damaged"))?;
        if self.intact > 0 && self.intact < self.copied {
            fs::remove_file(&log)?;
        }
        Ok(())
    }
}

/// Returns what SQLite finds wrong with the structure of a database from which commits are missing.
pub(crate) fn find_damage(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let found: String = conn.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}
