//! Notes of the acknowledged commits, so that the next start can check that they are still there.
//!
//! SQLite treats a write-ahead log that is damaged, cut or gone as one that ends earlier: it opens the database without
//! an error, and acknowledged commits are missing. So the committer notes the end of the acknowledged commits in the
//! log, in a small file beside the database:
//!
//! ```text
//! committer   COMMIT ─ fsync of the log ─ pwrite of the note ─ acknowledge
//! ```
//!
//! The note is not fsynced. After a power loss an older note may be there, which claims less; it never claims
//! more than the log holds durably. The file has two slots that are written alternately, each with a checksum, so that
//! a torn write leaves the note before it.
//!
//! A start compares the note with the log before SQLite opens it:
//!
//! ```text
//! the log has the noted salts      every noted frame must be intact (`frames`)
//! there is another log, or none    everything noted must have been copied into the database (the ceiling)
//! ```
//!
//! The second case is a log that was begun again, or that another program has emptied; SQLite does either only when all
//! of it is in the database. To distinguish that from a lost log, each note names the *ceiling* of timestamps (see
//! `frontier`) that its commit left in the database. The committer raises the ceiling in the first commit after a
//! checkpoint, and in each commit beside one. So the database without the log has a lower ceiling than any commit that
//! is in the log alone.
//!
//! A start copies all of the log into the database, and the ceiling of that moment is the *base* of its notes. A
//! database whose ceiling is below the base is a restored copy from before the start: the note does not apply
//! to it. When the server stops, and all of the log is in the database, the note claims nothing. A start without a note
//! is refused if the last server crashed, which the lock file remembers (`run_mark`).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use lentil_store::Timestamp;

use crate::open::database::open_private;
use crate::wal::frames::{Checksum, LogEnd};
use crate::wal::log;

const MAGIC: [u8; 8] = *b"LntlAck1";
const NOTE_SIZE: usize = 64;
/// The slots are in different pages, so that no single write of the disk touches both.
const SLOT_DISTANCE: u64 = 4_096;

/// The state that an acknowledged commit has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// The end of the acknowledged commits in the log; without frames there are none.
    pub(crate) end: LogEnd,
    /// The number of these frames that are known to be in the database too.
    pub(crate) copied: u32,
    /// The ceiling of timestamps in the database with these frames.
    pub(crate) ceiling: Timestamp,
    /// The ceiling that was in the database itself when the server had started; zero if it was not copied there.
    pub(crate) base: Timestamp,
}

impl Note {
    fn encode(&self, number: u64) -> [u8; NOTE_SIZE] {
        let mut slot = [0; NOTE_SIZE];
        let fields: [&[u8]; 8] = [
            &MAGIC,
            &number.to_be_bytes(),
            &self.end.salts,
            &self.end.checksum,
            &self.end.frames.to_be_bytes(),
            &self.copied.to_be_bytes(),
            &self.ceiling.as_nanos().to_be_bytes(),
            &self.base.as_nanos().to_be_bytes(),
        ];
        let mut at = 0;
        for field in fields {
            slot[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
        let checksum = Checksum::default().with(&slot[..at], true).to_bytes();
        slot[at..].copy_from_slice(&checksum);
        slot
    }

    /// Reads a slot: the note and its number; `None` if it is empty or torn.
    fn decode(slot: &[u8; NOTE_SIZE]) -> Option<(u64, Note)> {
        let (fields, checksum) = slot.split_at(NOTE_SIZE - 8);
        if fields[..8] != MAGIC || Checksum::default().with(fields, true).to_bytes() != checksum {
            return None;
        }
        let eight = |at: usize| -> [u8; 8] { fields[at..at + 8].try_into().expect("eight bytes") };
        let number = |at: usize| u64::from_be_bytes(eight(at));
        let frames_and_copied = number(32);
        let note = Note {
            end: LogEnd {
                salts: eight(16),
                frames: (frames_and_copied >> 32) as u32,
                checksum: eight(24),
            },
            copied: frames_and_copied as u32,
            ceiling: Timestamp::from_nanos(number(40)),
            base: Timestamp::from_nanos(number(48)),
        };
        Some((number(8), note))
    }
}

/// The file of notes.
pub(crate) struct Acknowledged {
    file: File,
    /// The number of the last note.
    number: AtomicU64,
}

impl Acknowledged {
    /// Opens the file of the database at this path, or makes one.
    pub(crate) fn open(database: &Path) -> io::Result<Acknowledged> {
        let file = open_private(&path_of(database))?;
        let number = read_last(&file)?.map_or(0, |(number, _)| number);
        Ok(Acknowledged {
            file,
            number: AtomicU64::new(number),
        })
    }

    /// Writes a note over the one before the last.
    pub(crate) fn write(&self, note: &Note) -> io::Result<()> {
        // Relaxed: one thread writes the notes, one after another, so the counter orders nothing.
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        let slot = note.encode(number);
        self.file.write_all_at(&slot, number % 2 * SLOT_DISTANCE)
    }

    /// Makes the last note durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Reads the last note about the database at this path, if there is one.
pub(crate) fn read(database: &Path) -> io::Result<Option<Note>> {
    match File::open(path_of(database)) {
        Ok(file) => Ok(read_last(&file)?.map(|(_, note)| note)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the path of the notes about the database at this path.
pub(crate) fn path_of(database: &Path) -> PathBuf {
    log::beside(database, "-acknowledged")
}

fn read_last(file: &File) -> io::Result<Option<(u64, Note)>> {
    let mut last = None;
    for at in [0, SLOT_DISTANCE] {
        let mut slot = [0; NOTE_SIZE];
        let found = match file.read_exact_at(&mut slot, at) {
            Ok(()) => Note::decode(&slot),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        if found.map(|(number, _)| number) > last.map(|(number, _): (u64, Note)| number) {
            last = found;
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(frames: u32) -> Note {
        Note {
            end: LogEnd {
                salts: *b"salts---",
                frames,
                checksum: *b"checksum",
            },
            copied: 3,
            ceiling: Timestamp::from_nanos(5),
            base: Timestamp::from_nanos(4),
        }
    }

    #[test]
    fn the_last_note_is_read_and_the_one_before_it_when_that_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a");
        assert_eq!(read(&database).unwrap(), None);
        let file = Acknowledged::open(&database).unwrap();
        assert_eq!(read(&database).unwrap(), None);
        for frames in 1..=3 {
            file.write(&note(frames)).unwrap();
            assert_eq!(read(&database).unwrap(), Some(note(frames)));
        }
        let again = Acknowledged::open(&database).unwrap();
        again.write(&note(4)).unwrap();
        assert_eq!(read(&database).unwrap(), Some(note(4)));
        for byte in 0..NOTE_SIZE as u64 {
            let mut was = [0];
            again.file.read_exact_at(&mut was, byte).unwrap();
            again.file.write_all_at(&[was[0] ^ 16], byte).unwrap();
            assert_eq!(read(&database).unwrap(), Some(note(3)), "byte {byte}");
            again.file.write_all_at(&was, byte).unwrap();
        }
    }
}
