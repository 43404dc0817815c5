use std::fs::{self, DirBuilder, File, ReadDir};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use lentil_store::{ContentHash, FileError};

/// Names per batch of a listing.
const LIST_BATCH_SIZE: usize = 1_024;

/// The folder of [`LocalFiles`](crate::LocalFiles): its paths, its fsync and its listing.
pub(crate) struct Folder {
    path: PathBuf,
    /// The number of the next file under `incoming/`.
    next: AtomicU64,
}

impl Folder {
    /// Opens the folder, creating it if it is missing. Removes unfinished files of an earlier
    /// process.
    pub(crate) fn open(path: &Path) -> Result<Folder, FileError> {
        let folder = Folder {
            path: path.to_owned(),
            next: AtomicU64::new(0),
        };
        match folder.prepare() {
            Ok(()) => Ok(folder),
            Err(error) => Err(folder.error("opening", &error)),
        }
    }

    fn prepare(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.incoming())?;
        for unfinished in fs::read_dir(self.incoming())? {
            fs::remove_file(unfinished?.path())?;
        }
        self.sync()?;

        // The entry of the folder itself is in its parent.
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync(parent),
            _ => Ok(()),
        }
    }

    fn incoming(&self) -> PathBuf {
        self.path.join("incoming")
    }

    /// Returns a path under `incoming/` that no other writer uses.
    pub(crate) fn new_path(&self) -> PathBuf {
        // Relaxed: only the uniqueness of the number matters.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.incoming().join(number.to_string())
    }

    /// Returns the path of the blob with this hash.
    pub(crate) fn blob_path(&self, hash: &ContentHash) -> PathBuf {
        self.path.join(hash.to_string())
    }

    /// Fsyncs the folder, which makes renames in it durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        sync(&self.path)
    }

    /// Reads the next batch of hashes, and returns where to continue. Skips files that are not
    /// named by a hash.
    pub(crate) fn list_batch(
        &self,
        entries: Option<ReadDir>,
    ) -> Result<(Vec<ContentHash>, Option<ReadDir>), FileError> {
        self.read_names(entries)
            .map_err(|error| self.error("listing files", &error))
    }

    fn read_names(
        &self,
        entries: Option<ReadDir>,
    ) -> io::Result<(Vec<ContentHash>, Option<ReadDir>)> {
        let mut entries = match entries {
            Some(entries) => entries,
            None => fs::read_dir(&self.path)?,
        };
        let mut hashes = Vec::new();
        for _ in 0..LIST_BATCH_SIZE {
            let Some(entry) = entries.next() else {
                return Ok((hashes, None));
            };
            let name = entry?.file_name();
            if let Some(hash) = name.to_str().and_then(|name| name.parse().ok()) {
                hashes.push(hash);
            }
        }
        Ok((hashes, Some(entries)))
    }

    pub(crate) fn error(&self, what: &str, error: &io::Error) -> FileError {
        FileError::new(format!("{what} in {}", self.path.display()), error)
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Runs blocking disk work on tokio's blocking threads.
pub(crate) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(FileError::new("using the disk", error)))
}
