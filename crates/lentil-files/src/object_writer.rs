use std::mem;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use lentil_store::{ContentHash, FileError, FileWriter};
use object_store::{ObjectStoreExt, PutPayloadMut};

use crate::bucket::Bucket;
use crate::incoming::Incoming;
use crate::multipart::{Multipart, PART_SIZE, empty_part};

/// A blob being uploaded. A blob of at most one part is put under its final name in one request. A
/// larger one is sent in parts to a temporary name, then copied.
pub(crate) struct ObjectWriter {
    bucket: Arc<Bucket>,
    size: u64,
    state: WriteState,
}

enum WriteState {
    /// At most one part so far; nothing is sent yet.
    Buffered(PutPayloadMut),
    Parts(Multipart, Incoming),
    /// A request failed.
    Failed,
}

impl ObjectWriter {
    pub(crate) fn new(bucket: Arc<Bucket>) -> ObjectWriter {
        ObjectWriter {
            bucket,
            size: 0,
            state: WriteState::Buffered(empty_part()),
        }
    }

    /// Takes the multipart upload, and starts it if necessary. The writer has failed unless the
    /// caller puts the upload back.
    async fn take_parts(&mut self) -> Result<(Multipart, Incoming), FileError> {
        match mem::replace(&mut self.state, WriteState::Failed) {
            WriteState::Buffered(buffered) => {
                let incoming = Incoming::new(&self.bucket)?;
                let parts = Multipart::start(&self.bucket, &incoming.path, buffered).await?;
                Ok((parts, incoming))
            }
            WriteState::Parts(parts, incoming) => Ok((parts, incoming)),
            WriteState::Failed => Err(failed_before()),
        }
    }
}

fn failed_before() -> FileError {
    FileError::new("writing a file", "an earlier write failed")
}

#[async_trait]
impl FileWriter for ObjectWriter {
    async fn write(&mut self, chunk: Bytes) -> Result<(), FileError> {
        self.size += chunk.len() as u64;
        if let WriteState::Buffered(buffered) = &mut self.state
            && self.size <= PART_SIZE as u64
        {
            buffered.extend_from_slice(&chunk);
            return Ok(());
        }
        let (mut parts, incoming) = self.take_parts().await?;
        parts.write(&chunk).await?;
        self.state = WriteState::Parts(parts, incoming);
        Ok(())
    }

    async fn finish(self: Box<Self>, hash: &ContentHash) -> Result<(), FileError> {
        let path = self.bucket.blob_path(hash);
        match self.state {
            WriteState::Buffered(buffered) => {
                // A put is atomic, so the blob needs no temporary name.
                let put = self.bucket.objects.put(&path, buffered.freeze()).await;
                match put {
                    Ok(_) => Ok(()),
                    Err(error) => Err(self.bucket.error("writing a file", &error)),
                }
            }
            WriteState::Parts(parts, incoming) => {
                parts.complete().await?;
                incoming.copy(self.size, &path).await
            }
            WriteState::Failed => Err(failed_before()),
        }
    }
}
