//! A folder of blobs, each named by the SHA-256 of its bytes.
//!
//! ```text
//! files/incoming/3         being written; the next start removes it if this process dies
//! files/9f86d081…0f00a08   written, fsynced, renamed, and the folder fsynced
//! ```

use std::fs::{self, File, ReadDir};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use lentil_store::{ContentHash, FileChunks, FileError, FileStore, FileWriter};

use crate::folder::{Folder, on_disk};
use crate::local_writer::LocalWriter;

/// Bytes per read.
const CHUNK_SIZE: usize = 256 << 10;

/// Files in a local folder. Only one process may use the folder at a time.
#[derive(Clone)]
pub struct LocalFiles(Arc<Folder>);

impl LocalFiles {
    /// Opens the folder, creating it if it is missing. Removes unfinished files of an earlier
    /// process.
    ///
    /// # Errors
    /// When the folder cannot be created or read.
    pub fn open(folder: &Path) -> Result<LocalFiles, FileError> {
        Ok(LocalFiles(Arc::new(Folder::open(folder)?)))
    }
}

#[async_trait]
impl FileStore for LocalFiles {
    async fn create(&self) -> Result<Box<dyn FileWriter>, FileError> {
        let folder = Arc::clone(&self.0);
        let writer = on_disk(move || LocalWriter::create(folder)).await?;
        Ok(Box::new(writer))
    }

    async fn read(
        &self,
        hash: &ContentHash,
        range: Range<u64>,
    ) -> Result<Option<FileChunks>, FileError> {
        let folder = Arc::clone(&self.0);
        let path = self.0.blob_path(hash);
        let opened = on_disk(move || match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(folder.error("opening a file", &error)),
        });
        // An open file stays readable when its blob is removed.
        let Some(file) = opened.await? else {
            return Ok(None);
        };

        let rest = Some((Arc::new(file), Arc::clone(&self.0), range));
        let chunks = stream::unfold(rest, |rest| async {
            let (file, folder, range) = rest?;
            if range.is_empty() {
                return None;
            }
            match next_chunk(Arc::clone(&file), Arc::clone(&folder), range.clone()).await {
                Ok(chunk) => {
                    let rest = range.start + chunk.len() as u64..range.end;
                    Some((Ok(chunk), Some((file, folder, rest))))
                }
                // The first error ends the stream.
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Some(chunks.boxed()))
    }

    async fn remove(&self, hash: &ContentHash) -> Result<(), FileError> {
        let folder = Arc::clone(&self.0);
        let path = self.0.blob_path(hash);
        on_disk(move || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(folder.error("removing a file", &error))
            }
            // The removal need not be durable: the sweep removes a file that reappears.
            _ => Ok(()),
        })
        .await
    }

    fn list(&self) -> BoxStream<'_, Result<ContentHash, FileError>> {
        let batches = stream::unfold(Some(None), |entries: Option<Option<ReadDir>>| async {
            let entries = entries?;
            let folder = Arc::clone(&self.0);
            match on_disk(move || folder.list_batch(entries)).await {
                Ok((hashes, rest)) => Some((hashes.into_iter().map(Ok).collect(), rest.map(Some))),
                Err(error) => Some((vec![Err(error)], None)),
            }
        });
        batches.flat_map(stream::iter).boxed()
    }
}

async fn next_chunk(
    file: Arc<File>,
    folder: Arc<Folder>,
    range: Range<u64>,
) -> Result<Bytes, FileError> {
    let length = (range.end - range.start).min(CHUNK_SIZE as u64) as usize;
    on_disk(move || {
        let mut chunk = vec![0; length];
        file.read_exact_at(&mut chunk, range.start)
            .map_err(|error| folder.error("reading a file", &error))?;
        Ok(Bytes::from(chunk))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use lentil_store::conformance::files::{TestFiles, suite};

    suite!(|| async {
        let folder = tempfile::tempdir().unwrap();
        TestFiles::keeping(
            LocalFiles::open(&folder.path().join("files")).unwrap(),
            folder,
        )
    });
}
