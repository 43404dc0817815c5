use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::Path;

use super::error::{OpenError, of_file, shown};
use crate::tables::format::{APPLICATION_ID, FORMAT_VERSION};

/// The length of SQLite's header.
const HEADER_LENGTH: usize = 100;

/// The fields of a database file's header that decide whether it can be opened.
pub(super) struct Header {
    pub(super) is_sqlite: bool,
    pub(super) is_in_wal_mode: bool,
    pub(super) application_id: u32,
    pub(super) format_version: u32,
}

impl Header {
    /// Reads the header without SQLite, which would change files before the database is accepted.
    /// Returns `None` if the file does not exist.
    pub(super) fn read(path: &Path) -> Result<Option<Header>, OpenError> {
        let failed = of_file(path);
        // For writing too, so that a file without permission is refused here.
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(io) => return Err(failed(io)),
        };
        let mut bytes = Vec::new();
        file.by_ref()
            .take(HEADER_LENGTH as u64)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let is_sqlite = bytes.len() == HEADER_LENGTH && bytes.starts_with(b"SQLite format 3\0");
        bytes.resize(HEADER_LENGTH, 0);
        let number = |at: usize| {
            let four = bytes[at..at + 4].try_into().expect("four bytes");
            u32::from_be_bytes(four)
        };
        Ok(Some(Header {
            is_sqlite,
            is_in_wal_mode: bytes[18] == 2,
            application_id: number(68),
            format_version: number(60),
        }))
    }

    /// Refuses a file of another program, or of a newer version.
    pub(super) fn check(&self, path: &Path) -> Result<(), OpenError> {
        if !self.is_sqlite || self.application_id != APPLICATION_ID {
            return Err(OpenError::Foreign { path: shown(path) });
        }
        if self.format_version > FORMAT_VERSION {
            return Err(OpenError::Newer {
                path: shown(path),
                found: self.format_version,
            });
        }
        Ok(())
    }
}
