//! Reads a write-ahead log as SQLite's recovery does, and finds how much of it is intact.
//!
//! ```text
//! 0        32                     32 + 24 + page size
//! │ header │ frame 1: 24 bytes, a page │ frame 2 │ …
//!
//! header   magic · version · page size · sequence number · salts ······ checksum
//! frame    page number · database size, if it ends a commit · salts · checksum · page
//! ```
//!
//! Numbers are big-endian and have four bytes; salts and checksums are two numbers each. Each
//! checksum continues the previous one, so the checksum of a frame covers the log from its first
//! byte. When SQLite restarts the log, it writes from the beginning with new salts. The salts
//! distinguish new frames from the old frames behind them.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

const HEADER_SIZE: usize = 32;
const FRAME_HEADER_SIZE: usize = 24;
/// The magic number of a log. Its last bit is set if the checksums are of big-endian words.
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;

/// The end of a commit in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogEnd {
    pub(crate) salts: [u8; 8],
    /// The number of frames up to the end.
    pub(crate) frames: u32,
    /// The checksum of the last frame, which covers all frames.
    pub(crate) checksum: [u8; 8],
}

impl LogEnd {
    /// Reads the end of the commit that left the log with this many frames. Returns an end without
    /// frames if another program has emptied the log since.
    pub(crate) fn read(log: &File, frames: u32, page_size: u32) -> io::Result<LogEnd> {
        let frame_size = FRAME_HEADER_SIZE as u64 + u64::from(page_size);
        let Some(before) = frames.checked_sub(1) else {
            return Ok(LogEnd::default());
        };
        let at = HEADER_SIZE as u64 + u64::from(before) * frame_size;
        let mut header = [0; FRAME_HEADER_SIZE];
        match log.read_exact_at(&mut header, at) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(LogEnd::default()),
            Err(error) => return Err(error),
        }
        Ok(LogEnd {
            salts: bytes_at(&header, 8),
            frames,
            checksum: bytes_at(&header, 16),
        })
    }
}

/// Returns the number of frames up to `end` that are intact in the log at `path`.
///
/// Returns `None` if the log is missing, was restarted, or has a damaged header.
pub(crate) fn count_intact(path: &Path, end: &LogEnd) -> io::Result<Option<u32>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut log = BufReader::with_capacity(1 << 20, file);
    let mut header = [0; HEADER_SIZE];
    if !read_whole(&mut log, &mut header)? {
        return Ok(None);
    }
    let Some(mut chain) = Chain::start(&header) else {
        return Ok(None);
    };
    if chain.salts != end.salts {
        return Ok(None);
    }
    let mut frame = vec![0; FRAME_HEADER_SIZE + chain.page_size];
    for intact in 0..end.frames {
        if !read_whole(&mut log, &mut frame)? || !chain.accepts(&frame) {
            return Ok(Some(intact));
        }
    }
    let is_same = end.frames == 0 || chain.checksum_bytes() == end.checksum;
    Ok(Some(end.frames - u32::from(!is_same)))
}

/// Fills the buffer; returns false if the file ends first.
fn read_whole(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The checksum chain over the frames read so far.
struct Chain {
    is_big_endian: bool,
    page_size: usize,
    salts: [u8; 8],
    checksum: Checksum,
}

impl Chain {
    /// Starts with the header of a log; returns `None` if the header is damaged.
    fn start(header: &[u8; HEADER_SIZE]) -> Option<Chain> {
        let magic = number_at(header, 0);
        let is_big_endian = magic & 1 == 1;
        let checksum = Checksum::default().with(&header[..24], is_big_endian);
        let page_size = number_at(header, 8);
        let is_intact = magic & !1 == MAGIC
            && number_at(header, 4) == VERSION
            && page_size.is_power_of_two()
            && (512..=65_536).contains(&page_size)
            && checksum.to_bytes() == bytes_at(header, 24);
        is_intact.then(|| Chain {
            is_big_endian,
            page_size: page_size as usize,
            salts: bytes_at(header, 16),
            checksum,
        })
    }

    /// Adds the next frame; returns false if it is damaged, or older than the log's restart.
    fn accepts(&mut self, frame: &[u8]) -> bool {
        let (header, page) = frame.split_at(FRAME_HEADER_SIZE);
        self.checksum = self
            .checksum
            .with(&header[..8], self.is_big_endian)
            .with(page, self.is_big_endian);
        number_at(header, 0) != 0
            && bytes_at(header, 8) == self.salts
            && bytes_at(header, 16) == self.checksum_bytes()
    }

    fn checksum_bytes(&self) -> [u8; 8] {
        self.checksum.to_bytes()
    }
}

/// SQLite's checksum over pairs of 32-bit words.
#[derive(Clone, Copy, Default)]
pub(crate) struct Checksum(u32, u32);

impl Checksum {
    /// Returns the checksum continued over `bytes`, whose length must be a multiple of eight.
    #[must_use]
    pub(crate) fn with(self, bytes: &[u8], is_big_endian: bool) -> Checksum {
        debug_assert!(bytes.len().is_multiple_of(8), "words come in pairs");
        let Checksum(mut one, mut two) = self;
        let word = |four: &[u8]| {
            let four = four.try_into().expect("a word has four bytes");
            if is_big_endian {
                u32::from_be_bytes(four)
            } else {
                u32::from_le_bytes(four)
            }
        };
        for pair in bytes.chunks_exact(8) {
            one = one.wrapping_add(word(&pair[..4])).wrapping_add(two);
            two = two.wrapping_add(word(&pair[4..])).wrapping_add(one);
        }
        Checksum(one, two)
    }

    pub(crate) fn to_bytes(self) -> [u8; 8] {
        (u64::from(self.0) << 32 | u64::from(self.1)).to_be_bytes()
    }
}

fn number_at(bytes: &[u8], at: usize) -> u32 {
    let four = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_be_bytes(four)
}

fn bytes_at(bytes: &[u8], at: usize) -> [u8; 8] {
    bytes[at..at + 8].try_into().expect("eight bytes")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use rusqlite::Connection;

    use super::*;

    /// Writes a log of three commits; returns its path and end. The log exists until the connection
    /// closes.
    fn log(folder: &Path) -> (PathBuf, LogEnd, Connection) {
        let database = folder.join("a");
        let conn = Connection::open(&database).unwrap();
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES ('one'); \
             INSERT INTO t VALUES (zeroblob(9000))",
        )
        .unwrap();
        let frames = conn
            .query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))
            .unwrap();
        let path = folder.join("a-wal");
        let end = LogEnd::read(&File::open(&path).unwrap(), frames, 4_096).unwrap();
        (path, end, conn)
    }

    #[test]
    fn log_of_sqlite_is_intact_whatever_follows_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, end, _conn) = log(folder.path());
        assert!(end.frames > 4, "{end:?}");
        assert_eq!(count_intact(&path, &end).unwrap(), Some(end.frames));
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend([7; 5_000]);
        fs::write(&path, bytes).unwrap();
        assert_eq!(count_intact(&path, &end).unwrap(), Some(end.frames));
    }

    #[test]
    fn flipped_bit_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let (path, end, _conn) = log(folder.path());
        let whole = fs::read(&path).unwrap();
        let frame_size = FRAME_HEADER_SIZE + 4_096;
        for at in (0..HEADER_SIZE + FRAME_HEADER_SIZE).chain((0..whole.len()).step_by(97)) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&path, damaged).unwrap();
            let found = count_intact(&path, &end).unwrap();
            let expected = (at.checked_sub(HEADER_SIZE)).map(|at| (at / frame_size) as u32);
            assert_eq!(found, expected, "byte {at}");
        }
    }

    #[test]
    fn truncated_log_ends_at_the_cut() {
        let folder = tempfile::tempdir().unwrap();
        let (path, end, _conn) = log(folder.path());
        let whole = fs::read(&path).unwrap();
        let second = HEADER_SIZE + 2 * (FRAME_HEADER_SIZE + 4_096);
        for (length, found) in [
            (0, None),
            (31, None),
            (32, Some(0)),
            (second - 1, Some(1)),
            (second, Some(2)),
            (whole.len(), Some(end.frames)),
        ] {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(count_intact(&path, &end).unwrap(), found, "{length} bytes");
        }
        fs::write(&path, vec![0; whole.len()]).unwrap();
        assert_eq!(count_intact(&path, &end).unwrap(), None);
        fs::remove_file(&path).unwrap();
        assert_eq!(count_intact(&path, &end).unwrap(), None);
    }

    #[test]
    fn restarted_log_and_other_frames_are_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let (path, end, conn) = log(folder.path());
        let other = LogEnd {
            checksum: [0; 8],
            ..end
        };
        assert_eq!(count_intact(&path, &other).unwrap(), Some(end.frames - 1));
        conn.execute_batch("PRAGMA wal_checkpoint(RESTART); INSERT INTO t VALUES ('again')")
            .unwrap();
        assert_eq!(count_intact(&path, &end).unwrap(), None);
    }
}
