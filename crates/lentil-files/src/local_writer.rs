use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use lentil_store::{ContentHash, FileError, FileWriter};

use crate::local::{Place, on_disk};

/// Bytes that are gathered before they are written.
const BLOCK: usize = 256 << 10;
/// Bytes after which the disk is told to keep them, so that the flush at the end has little left to do.
const FLUSH: usize = 32 << 20;

/// A file that is being written under a temporary name, and removed unless it is finished.
pub(crate) struct Writer {
    place: Arc<Place>,
    path: PathBuf,
    /// None while a thread writes it, and after that was given up.
    file: Option<File>,
    gathered: BytesMut,
    unflushed: usize,
}

impl Writer {
    pub(crate) fn create(place: Arc<Place>) -> Result<Writer, FileError> {
        let path = place.new_path();
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let file = created.map_err(|error| place.error("making a file", &error))?;
        Ok(Writer {
            place,
            path,
            file: Some(file),
            gathered: BytesMut::new(),
            unflushed: 0,
        })
    }

    /// Has a thread do something with the file, after what is gathered is written to it.
    async fn with_file(
        &mut self,
        work: impl FnOnce(&File) -> io::Result<()> + Send + 'static,
    ) -> Result<(), FileError> {
        let (place, gathered) = (Arc::clone(&self.place), self.gathered.split().freeze());
        let given_up = || FileError::new("writing a file", "an earlier write failed");
        let mut file = self.file.take().ok_or_else(given_up)?;
        let written = on_disk(move || {
            let written = file.write_all(&gathered).and_then(|()| work(&file));
            written.map_err(|error| place.error("writing a file", &error))?;
            Ok(file)
        });
        self.file = Some(written.await?);
        Ok(())
    }
}

#[async_trait]
impl FileWriter for Writer {
    async fn write(&mut self, chunk: Bytes) -> Result<(), FileError> {
        self.gathered.extend_from_slice(&chunk);
        if self.gathered.len() < BLOCK {
            return Ok(());
        }
        self.unflushed += self.gathered.len();
        let flushes = self.unflushed >= FLUSH;
        if flushes {
            self.unflushed = 0;
        }
        self.with_file(move |file| if flushes { file.sync_data() } else { Ok(()) })
            .await
    }

    async fn finish(mut self: Box<Self>, hash: &ContentHash) -> Result<(), FileError> {
        let (place, from, to) = (
            Arc::clone(&self.place),
            self.path.clone(),
            self.place.path(hash),
        );
        // The bytes before the name, the name before the answer.
        self.with_file(move |file| {
            file.sync_all()?;
            fs::rename(from, to)?;
            place.sync_folder()
        })
        .await
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // After the rename there is nothing of this name; what cannot be removed is at the next start.
        let _ = fs::remove_file(&self.path);
    }
}
