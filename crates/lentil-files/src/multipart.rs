use std::sync::Arc;

use lentil_store::FileError;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayloadMut};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::object::Place;

/// Bytes of each part but the last. S3 takes at least 5 MiB and at most 10,000 parts; R2 wants them alike.
pub(crate) const PART: usize = 8 << 20;
/// Bytes of a part that are allocated at a time.
const BLOCK: usize = 256 << 10;

/// A part of a file, as it is gathered.
pub(crate) fn empty_part() -> PutPayloadMut {
    PutPayloadMut::new().with_block_size(BLOCK)
}

/// An object that is sent part by part, one on its way while the next is gathered. It is there once it is complete;
/// what was sent of one that is dropped before is given up.
pub(crate) struct Multipart {
    place: Arc<Place>,
    gathered: PutPayloadMut,
    /// None when it is complete.
    upload: Option<Box<dyn MultipartUpload>>,
    sending: JoinSet<object_store::Result<()>>,
}

impl Multipart {
    /// An object at this path, which begins with what is gathered: at most a part.
    pub(crate) async fn start(
        place: &Arc<Place>,
        path: &Path,
        gathered: PutPayloadMut,
    ) -> Result<Multipart, FileError> {
        let started = place.objects.put_multipart(path).await;
        let upload = started.map_err(|error| place.error("writing a file", &error))?;
        Ok(Multipart {
            place: Arc::clone(place),
            gathered,
            upload: Some(upload),
            sending: JoinSet::new(),
        })
    }

    /// Adds bytes at the end.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), FileError> {
        while !bytes.is_empty() {
            if self.gathered.content_length() == PART {
                self.send().await?;
            }
            let (now, rest) =
                bytes.split_at(bytes.len().min(PART - self.gathered.content_length()));
            self.gathered.extend_from_slice(now);
            bytes = rest;
        }
        Ok(())
    }

    /// Sends what is gathered, after the part before it has arrived.
    async fn send(&mut self) -> Result<(), FileError> {
        self.sent().await?;
        let part = std::mem::replace(&mut self.gathered, empty_part());
        let upload = self
            .upload
            .as_mut()
            .expect("it is there until it is complete");
        self.sending.spawn(upload.put_part(part.freeze()));
        Ok(())
    }

    async fn sent(&mut self) -> Result<(), FileError> {
        while let Some(sent) = self.sending.join_next().await {
            let sent = sent.unwrap_or_else(|source| Err(object_store::Error::JoinError { source }));
            sent.map_err(|error| self.place.error("writing a file", &error))?;
        }
        Ok(())
    }

    /// Makes it an object, which is durable when this returns.
    pub(crate) async fn complete(mut self) -> Result<(), FileError> {
        self.send().await?;
        self.sent().await?;
        let upload = self
            .upload
            .as_mut()
            .expect("it is there until it is complete");
        let completed = upload.complete().await;
        completed.map_err(|error| self.place.error("writing a file", &error))?;
        self.upload = None;
        Ok(())
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        let (Some(mut upload), Ok(runtime)) = (self.upload.take(), Handle::try_current()) else {
            return;
        };
        let (place, mut sending) = (Arc::clone(&self.place), std::mem::take(&mut self.sending));
        runtime.spawn(async move {
            // A part that arrives after the end of its upload would stay.
            sending.shutdown().await;
            if let Err(error) = upload.abort().await {
                let error = place.error("giving up a file", &error);
                tracing::warn!(%error, "parts of a file that was not stored are left for the store's own rules");
            }
        });
    }
}
