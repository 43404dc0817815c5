//! Detects that the store's files were removed or replaced while the server runs.
//!
//! SQLite continues to work with open files whose names are gone. Each commit then succeeds, and the next start finds
//! none of them. So the committer compares the paths with the files that were opened: after each fsync, before it
//! acknowledges the batch, and twice a second when nothing is committed. If a path leads elsewhere, the process ends.
//!
//! The guard only calls `stat`. It never opens the database: closing any of its descriptors would drop the POSIX locks
//! that SQLite holds in this process. A path that still leads to the same inode also says that the file has a link.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::error::end_process;

/// The files that must stay in their places.
pub(crate) struct FileGuard(Vec<Guarded>);

struct Guarded {
    /// The path as `stat` takes it, so that the check in every commit takes few instructions.
    path: CString,
    identity: Identity,
}

/// The identity of a file under any name.
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
    /// They have to be open already, so that no new file gets the inode of one that is removed.
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
                "{} was removed or replaced while the server ran ({what}); put it back or restore a copy of the \
                 data folder, then start again",
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

    #[test]
    fn a_removed_or_replaced_file_is_noticed() {
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
