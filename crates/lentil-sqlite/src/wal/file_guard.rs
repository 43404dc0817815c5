//! Detects that the store's files were removed or replaced while the server runs.
//!
//! SQLite continues to work with open files whose names are gone. Each commit then succeeds, and
//! the next start finds none of them. So the committer compares the paths with the opened files:
//! after each fsync, before it acknowledges the batch, and twice a second while the store is idle.
//! If a path leads to another file, the process ends.
//!
//! The guard only calls `stat`. It never opens the database, because closing any descriptor of it
//! would drop the POSIX locks that SQLite holds in this process. A path that leads to the same
//! inode also proves that the file has a link.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::error::end_process;

/// The files that must keep their paths.
pub(crate) struct FileGuard(Vec<Guarded>);

struct Guarded {
    /// The path in the form that `stat` takes, so that the check in every commit converts nothing.
    path: CString,
    identity: Identity,
}

/// The identity of a file, whatever its name is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: rustix::fs::Dev,
    inode: u64,
}

impl Identity {
    fn of(path: &CStr) -> io::Result<Identity> {
        let stat = rustix::fs::stat(path)?;
        Ok(Identity {
            device: stat.st_dev,
            inode: stat.st_ino,
        })
    }
}

impl FileGuard {
    /// Guards the files that these paths lead to now.
    ///
    /// The files must be open, because a new file can get the inode of a removed one that is
    /// closed.
    pub(crate) fn of(paths: impl IntoIterator<Item = PathBuf>) -> io::Result<FileGuard> {
        let guarded = paths.into_iter().map(|path| {
            let path = CString::new(path.into_os_string().into_vec())?;
            let identity = Identity::of(&path)?;
            Ok(Guarded { path, identity })
        });
        guarded.collect::<io::Result<_>>().map(FileGuard)
    }

    /// Ends the process unless every path still leads to its file.
    pub(crate) fn check(&self) {
        if let Err(reason) = self.find_displaced() {
            end_process(&reason);
        }
    }

    fn find_displaced(&self) -> Result<(), String> {
        for Guarded { path, identity } in &self.0 {
            let found = Identity::of(path);
            if found.as_ref().ok() == Some(identity) {
                continue;
            }
            let what = match found {
                Ok(_) => "another file is in its place".to_owned(),
                Err(error) => error.to_string(),
            };
            return Err(format!(
                "{} was removed or replaced while the server ran ({what}); \
                 put it back or restore a copy of the data folder, then start again",
                path.to_string_lossy()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A server whose files were removed acknowledged commits that no start could find.
    #[test]
    fn removed_or_replaced_file_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a", "b", "copy"] {
            fs::write(path(name), "x").unwrap();
        }
        let guard = FileGuard::of([path("a"), path("b")]).unwrap();
        assert_eq!(guard.find_displaced(), Ok(()));

        fs::write(path("b"), "longer").unwrap();
        assert_eq!(guard.find_displaced(), Ok(()), "its content may change");

        fs::rename(path("b"), path("elsewhere")).unwrap();
        let reason = guard.find_displaced().unwrap_err();
        assert!(reason.contains("No such file"), "{reason}");

        fs::rename(path("copy"), path("b")).unwrap();
        let reason = guard.find_displaced().unwrap_err();
        assert!(reason.contains("another file is in its place"), "{reason}");

        fs::rename(path("elsewhere"), path("b")).unwrap();
        assert_eq!(guard.find_displaced(), Ok(()));
    }
}
