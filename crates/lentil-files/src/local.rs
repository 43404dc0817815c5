//! A folder of files, each named by the SHA-256 of its bytes.
//!
//! ```text
//! files/incoming/3         being written; the next start removes it if this server dies
//! files/9f86d081…0f00a08   written, fsynced, renamed, and the folder fsynced
//! ```

use std::fs::{self, DirBuilder, File, ReadDir};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use lentil_store::{ContentHash, FileChunks, FileError, FileStore, FileWriter};

use crate::local_writer::Writer;

/// Bytes per read.
const CHUNK_SIZE: usize = 256 << 10;
/// Names per batch of a listing.
const LIST_BATCH_SIZE: usize = 1_024;

/// Files in a local folder. Only one process may use the folder at a time.
#[derive(Clone)]
pub struct LocalFiles(Arc<Place>);

pub(crate) struct Place {
    folder: PathBuf,
    next: AtomicU64,
}

impl LocalFiles {
    /// Opens the folder, creating it if it is missing. Removes unfinished files of an earlier process.
    ///
    /// # Errors
    /// When the folder cannot be created or read.
    pub fn open(folder: &Path) -> Result<LocalFiles, FileError> {
        let place = Place {
            folder: folder.to_owned(),
            next: AtomicU64::new(0),
        };
        let opened = || {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(place.incoming())?;
            for left in fs::read_dir(place.incoming())? {
                fs::remove_file(left?.path())?;
            }
            place.sync_folder()?;
            // The folder itself has an entry in the one above it.
            folder
                .parent()
                .filter(|above| !above.as_os_str().is_empty())
                .map_or(Ok(()), sync)
        };
        opened().map_err(|error| place.error("opening", &error))?;
        Ok(LocalFiles(Arc::new(place)))
    }
}

impl Place {
    fn incoming(&self) -> PathBuf {
        self.folder.join("incoming")
    }

    /// Returns a path that no other writer uses.
    pub(crate) fn new_path(&self) -> PathBuf {
        self.incoming()
            .join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    pub(crate) fn path(&self, hash: &ContentHash) -> PathBuf {
        self.folder.join(hash.to_string())
    }

    /// Fsyncs the folder, which makes renames in it durable.
    pub(crate) fn sync_folder(&self) -> io::Result<()> {
        sync(&self.folder)
    }

    pub(crate) fn error(&self, what: &str, error: &io::Error) -> FileError {
        FileError::new(format!("{what} in {}", self.folder.display()), error)
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

#[async_trait]
impl FileStore for LocalFiles {
    async fn create(&self) -> Result<Box<dyn FileWriter>, FileError> {
        let place = Arc::clone(&self.0);
        let writer = on_disk(move || Writer::create(place)).await?;
        Ok(Box::new(writer))
    }

    async fn read(
        &self,
        hash: &ContentHash,
        range: Range<u64>,
    ) -> Result<Option<FileChunks>, FileError> {
        let (place, path) = (Arc::clone(&self.0), self.0.path(hash));
        let opened = on_disk(move || match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(place.error("opening a file", &error)),
        });
        let Some(file) = opened.await? else {
            return Ok(None);
        };
        let rest = Some((Arc::new(file), Arc::clone(&self.0), range));
        let chunks = stream::unfold(rest, |rest| async {
            let (file, place, range) = rest?;
            if range.is_empty() {
                return None;
            }
            match next_chunk(Arc::clone(&file), Arc::clone(&place), range.clone()).await {
                Ok(chunk) => {
                    let rest = range.start + chunk.len() as u64..range.end;
                    Some((Ok(chunk), Some((file, place, rest))))
                }
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Some(chunks.boxed()))
    }

    async fn remove(&self, hash: &ContentHash) -> Result<(), FileError> {
        let (place, path) = (Arc::clone(&self.0), self.0.path(hash));
        on_disk(move || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(place.error("removing a file", &error))
            }
            // The removal need not be durable: the sweep removes a file that reappears.
            _ => Ok(()),
        })
        .await
    }

    fn list(&self) -> BoxStream<'_, Result<ContentHash, FileError>> {
        let batches = stream::unfold(Some(None), |entries: Option<Option<ReadDir>>| async {
            let (entries, place) = (entries?, Arc::clone(&self.0));
            match on_disk(move || place.names(entries)).await {
                Ok((names, rest)) => Some((names.into_iter().map(Ok).collect(), rest.map(Some))),
                Err(error) => Some((vec![Err(error)], None)),
            }
        });
        batches.flat_map(stream::iter).boxed()
    }
}

async fn next_chunk(
    file: Arc<File>,
    place: Arc<Place>,
    range: Range<u64>,
) -> Result<Bytes, FileError> {
    let length = (range.end - range.start).min(CHUNK_SIZE as u64) as usize;
    on_disk(move || {
        let mut chunk = vec![0; length];
        file.read_exact_at(&mut chunk, range.start)
            .map_err(|error| place.error("reading a file", &error))?;
        Ok(Bytes::from(chunk))
    })
    .await
}

impl Place {
    /// Reads the next batch of names, and returns where to continue. Skips files not named by a hash.
    fn names(
        &self,
        entries: Option<ReadDir>,
    ) -> Result<(Vec<ContentHash>, Option<ReadDir>), FileError> {
        let list = || {
            let mut entries = match entries {
                Some(entries) => entries,
                None => fs::read_dir(&self.folder)?,
            };
            let mut names = Vec::new();
            for entry in entries.by_ref().take(LIST_BATCH_SIZE) {
                names.push(entry?.file_name());
            }
            io::Result::Ok((names, entries))
        };
        let (names, rest) = list().map_err(|error| self.error("listing files", &error))?;
        let rest = (names.len() == LIST_BATCH_SIZE).then_some(rest);
        Ok((
            names
                .iter()
                .filter_map(|name| name.to_str()?.parse().ok())
                .collect(),
            rest,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lentil_store::conformance::files::{MadeFiles, suite};

    suite!(|| async {
        let folder = tempfile::tempdir().unwrap();
        MadeFiles::keeping(
            LocalFiles::open(&folder.path().join("files")).unwrap(),
            folder,
        )
    });
}
