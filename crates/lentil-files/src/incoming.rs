use std::sync::Arc;

use futures_util::TryStreamExt;
use lentil_store::FileError;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::runtime::Handle;

use crate::bucket::Bucket;
use crate::multipart::{Multipart, empty_part};

/// An object under `incoming/`. Dropping it deletes the object.
pub(crate) struct Incoming {
    bucket: Arc<Bucket>,
    pub(crate) path: Path,
}

impl Incoming {
    pub(crate) fn new(bucket: &Arc<Bucket>) -> Result<Incoming, FileError> {
        Ok(Incoming {
            bucket: Arc::clone(bucket),
            path: bucket.new_path()?,
        })
    }

    /// Copies the object within the store. An object over the store's copy limit is read and sent
    /// again.
    pub(crate) async fn copy(&self, size: u64, to: &Path) -> Result<(), FileError> {
        let bucket = &self.bucket;
        if size > bucket.copy_limit {
            return self.send_again(to).await;
        }
        let copied = bucket.objects.copy(&self.path, to).await;
        copied.map_err(|error| bucket.error("copying a file to its name", &error))
    }

    async fn send_again(&self, to: &Path) -> Result<(), FileError> {
        let failed =
            |error: object_store::Error| self.bucket.error("copying a file to its name", &error);
        let mut chunks = self
            .bucket
            .objects
            .get(&self.path)
            .await
            .map_err(failed)?
            .into_stream();
        let mut copy = Multipart::start(&self.bucket, to, empty_part()).await?;
        while let Some(chunk) = chunks.try_next().await.map_err(failed)? {
            copy.write(&chunk).await?;
        }
        copy.complete().await
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // A destructor cannot await. Without a runtime, the sweep removes the object a day later.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let bucket = Arc::clone(&self.bucket);
        let path = self.path.clone();
        runtime.spawn(async move {
            // If this fails, the sweep removes the object a day later.
            let _ = bucket.delete(&path).await;
        });
    }
}
