//! Notes on acknowledged commits, which the next start compares with the log.
//!
//! SQLite treats a damaged, cut or missing log as one that ends earlier. It opens the database
//! without an error, and acknowledged commits are missing. So the committer writes a note of where
//! the acknowledged commits end in the log, into a small file beside the database:
//!
//! ```text
//! committer   COMMIT ─ fsync of the log ─ pwrite of the note ─ acknowledge
//! ```
//!
//! The note is not fsynced. After a power loss the file may hold an older note, which claims less;
//! it never claims more than the log holds durably. Notes are written alternately into two slots,
//! each with a checksum, so that a torn write leaves the previous note.
//!
//! A start compares the note with the log before SQLite opens it:
//!
//! ```text
//! the log has the note's salts     every noted frame must be intact (`frames`)
//! another log, or none             every noted frame must be in the database
//! ```
//!
//! The second case arises when SQLite restarts the log or another program empties it. SQLite does
//! either only after all of the log is in the database. The *timestamp lease* distinguishes this
//! from a lost log. The lease is a timestamp in the database that no commit exceeds
//! (`snapshots::commit_tracker`), and each note names the lease at its commit. The committer
//! extends the lease in the first commit after a checkpoint, and in each commit during one. So the
//! database without its log has an older lease than any commit that only the log holds.
//!
//! A start copies the whole log into the database. The lease at that moment is the *base* of its
//! notes. A database whose lease is older than the base is a restored copy from before the start.
//! The note does not apply to it. When a server stops and the whole log is in the database, the
//! note claims nothing. A start without a note is refused if the last server crashed, which the run
//! mark shows (`run_mark`).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use lentil_store::Timestamp;

use super::frames::{Checksum, LogEnd};
use crate::files;

const MAGIC: [u8; 8] = *b"LntlAck1";
const NOTE_SIZE: usize = 64;
/// The slots lie in different pages, so that one write of the disk never touches both.
const SLOT_DISTANCE: u64 = 4_096;

/// The state after an acknowledged commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// The end of the acknowledged commits in the log. Zero frames mean that the log holds none.
    pub(crate) end: LogEnd,
    /// The number of these frames that are known to be in the database too.
    pub(crate) copied: u32,
    /// The timestamp lease in the database with these frames.
    pub(crate) lease: Timestamp,
    /// The timestamp lease in the database file at the server's start; zero if the start could not
    /// copy it there.
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
            &self.lease.as_nanos().to_be_bytes(),
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

    /// Reads a slot: its number and note. Returns `None` if the slot is empty or torn.
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
            lease: Timestamp::from_nanos(number(40)),
            base: Timestamp::from_nanos(number(48)),
        };
        Some((number(8), note))
    }
}

/// The file of notes.
pub(crate) struct NoteFile {
    file: File,
    /// The number of the last note.
    number: AtomicU64,
}

impl NoteFile {
    /// Opens the notes of a database, or creates the file.
    pub(crate) fn open(database: &Path) -> io::Result<NoteFile> {
        let file = files::open_private(&files::acknowledged(database))?;
        let number = match read_last(&file)? {
            Some((number, _)) => number,
            None => 0,
        };
        Ok(NoteFile {
            file,
            number: AtomicU64::new(number),
        })
    }

    /// Writes a note over the one before the previous.
    pub(crate) fn write(&self, note: &Note) -> io::Result<()> {
        // Relaxed: only the committer writes notes, so the counter orders nothing between threads.
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        let slot = note.encode(number);
        self.file.write_all_at(&slot, number % 2 * SLOT_DISTANCE)
    }

    /// Makes the last note durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Reads the last note on a database, if there is one.
pub(crate) fn read(database: &Path) -> io::Result<Option<Note>> {
    match File::open(files::acknowledged(database)) {
        Ok(file) => Ok(read_last(&file)?.map(|(_, note)| note)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_last(file: &File) -> io::Result<Option<(u64, Note)>> {
    let mut last: Option<(u64, Note)> = None;
    for at in [0, SLOT_DISTANCE] {
        let mut slot = [0; NOTE_SIZE];
        let found = match file.read_exact_at(&mut slot, at) {
            Ok(()) => Note::decode(&slot),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        let Some(found) = found else {
            continue;
        };
        if last.is_none_or(|last| found.0 > last.0) {
            last = Some(found);
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
            lease: Timestamp::from_nanos(5),
            base: Timestamp::from_nanos(4),
        }
    }

    #[test]
    fn torn_note_leaves_the_previous_one() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a");
        assert_eq!(read(&database).unwrap(), None);
        let file = NoteFile::open(&database).unwrap();
        assert_eq!(read(&database).unwrap(), None);
        for frames in 1..=3 {
            file.write(&note(frames)).unwrap();
            assert_eq!(read(&database).unwrap(), Some(note(frames)));
        }
        let again = NoteFile::open(&database).unwrap();
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
