use std::sync::Arc;

use lentil_store::FileError;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayloadMut};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::bucket::Bucket;

/// Bytes of each part but the last. S3 requires at least 5 MiB and allows 10,000 parts; R2 requires
/// equal sizes.
pub(crate) const PART_SIZE: usize = 8 << 20;
/// Bytes allocated at a time while a part fills.
const PART_BLOCK_SIZE: usize = 256 << 10;

/// Returns an empty buffer for one part.
pub(crate) fn empty_part() -> PutPayloadMut {
    PutPayloadMut::new().with_block_size(PART_BLOCK_SIZE)
}

/// A multipart upload. It sends one part while the next fills. The object appears when the upload
/// completes; dropping it earlier aborts the upload.
pub(crate) struct Multipart {
    bucket: Arc<Bucket>,
    buffered: PutPayloadMut,
    /// `None` once the upload is complete.
    upload: Option<Box<dyn MultipartUpload>>,
    sending: JoinSet<object_store::Result<()>>,
}

impl Multipart {
    /// Starts an upload to this path. `buffered` is the beginning of the object, at most one part.
    pub(crate) async fn start(
        bucket: &Arc<Bucket>,
        path: &Path,
        buffered: PutPayloadMut,
    ) -> Result<Multipart, FileError> {
        let started = bucket.objects.put_multipart(path).await;
        let upload = started.map_err(|error| bucket.error("writing a file", &error))?;
        Ok(Multipart {
            bucket: Arc::clone(bucket),
            buffered,
            upload: Some(upload),
            sending: JoinSet::new(),
        })
    }

    /// Appends bytes.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), FileError> {
        while !bytes.is_empty() {
            if self.buffered.content_length() == PART_SIZE {
                self.send().await?;
            }
            let (now, rest) =
                bytes.split_at(bytes.len().min(PART_SIZE - self.buffered.content_length()));
            self.buffered.extend_from_slice(now);
            bytes = rest;
        }
        Ok(())
    }

    /// Waits until the previous part has arrived, then starts to send the buffered one.
    async fn send(&mut self) -> Result<(), FileError> {
        self.wait_for_part().await?;
        // One part is sent at a time, so that an upload holds at most two parts in memory.
        let part = std::mem::replace(&mut self.buffered, empty_part());
        let upload = self
            .upload
            .as_mut()
            .expect("the upload exists until it is complete");
        self.sending.spawn(upload.put_part(part.freeze()));
        Ok(())
    }

    /// Waits until the part that is being sent has arrived.
    async fn wait_for_part(&mut self) -> Result<(), FileError> {
        while let Some(sent) = self.sending.join_next().await {
            let sent = sent.unwrap_or_else(|source| Err(object_store::Error::JoinError { source }));
            sent.map_err(|error| self.bucket.error("writing a file", &error))?;
        }
        Ok(())
    }

    /// Completes the upload. The object is durable when this returns.
    pub(crate) async fn complete(mut self) -> Result<(), FileError> {
        self.send().await?;
        self.wait_for_part().await?;
        let upload = self
            .upload
            .as_mut()
            .expect("the upload exists until it is complete");
        let completed = upload.complete().await;
        completed.map_err(|error| self.bucket.error("writing a file", &error))?;
        self.upload = None;
        Ok(())
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        let (Some(mut upload), Ok(runtime)) = (self.upload.take(), Handle::try_current()) else {
            return;
        };
        let bucket = Arc::clone(&self.bucket);
        let mut sending = std::mem::take(&mut self.sending);
        runtime.spawn(async move {
            // A part that arrives after the abort would never be removed.
            sending.shutdown().await;
            if let Err(error) = upload.abort().await {
                let error = bucket.error("aborting an upload", &error);
                tracing::warn!(
                    %error,
                    "parts of an aborted upload remain until the bucket's lifecycle rule removes them"
                );
            }
        });
    }
}
