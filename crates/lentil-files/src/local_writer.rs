use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use lentil_store::{ContentHash, FileError, FileWriter};

use crate::folder::{Folder, on_disk};

/// Bytes buffered before a write.
const WRITE_BUFFER_SIZE: usize = 256 << 10;
/// Bytes between two fsyncs, so that the final fsync has little left to write.
const SYNC_INTERVAL_BYTES: usize = 32 << 20;

/// A file being written under a temporary name. Dropping the writer removes it unless it was
/// finished.
pub(crate) struct LocalWriter {
    folder: Arc<Folder>,
    path: PathBuf,
    /// `None` while a blocking thread writes it, and after a write failed.
    file: Option<File>,
    buffered: BytesMut,
    unsynced: usize,
}

impl LocalWriter {
    pub(crate) fn create(folder: Arc<Folder>) -> Result<LocalWriter, FileError> {
        let path = folder.new_path();
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let file = created.map_err(|error| folder.error("creating a file", &error))?;
        Ok(LocalWriter {
            folder,
            path,
            file: Some(file),
            buffered: BytesMut::new(),
            unsynced: 0,
        })
    }

    /// Writes the buffer, then runs `work` on the file, both on a blocking thread.
    async fn with_file(
        &mut self,
        work: impl FnOnce(&File) -> io::Result<()> + Send + 'static,
    ) -> Result<(), FileError> {
        let Some(mut file) = self.file.take() else {
            return Err(FileError::new("writing a file", "an earlier write failed"));
        };
        let folder = Arc::clone(&self.folder);
        let buffered = self.buffered.split().freeze();
        let written = on_disk(move || {
            let written = file.write_all(&buffered).and_then(|()| work(&file));
            written.map_err(|error| folder.error("writing a file", &error))?;
            Ok(file)
        });
        self.file = Some(written.await?);
        Ok(())
    }
}

#[async_trait]
impl FileWriter for LocalWriter {
    async fn write(&mut self, chunk: Bytes) -> Result<(), FileError> {
        self.buffered.extend_from_slice(&chunk);
        if self.buffered.len() < WRITE_BUFFER_SIZE {
            return Ok(());
        }
        self.unsynced += self.buffered.len();
        let syncs = self.unsynced >= SYNC_INTERVAL_BYTES;
        if syncs {
            self.unsynced = 0;
        }
        // `sync_data` is enough here, because `finish` fsyncs the metadata too.
        self.with_file(move |file| if syncs { file.sync_data() } else { Ok(()) })
            .await
    }

    async fn finish(mut self: Box<Self>, hash: &ContentHash) -> Result<(), FileError> {
        let folder = Arc::clone(&self.folder);
        let from = self.path.clone();
        let to = self.folder.blob_path(hash);
        // The bytes must be durable before the name, and the name before the acknowledgement.
        self.with_file(move |file| {
            file.sync_all()?;
            fs::rename(from, to)?;
            folder.sync()
        })
        .await
    }
}

impl Drop for LocalWriter {
    fn drop(&mut self) {
        // After the rename no file has this name. The next start removes a file that remains.
        let _ = fs::remove_file(&self.path);
    }
}
