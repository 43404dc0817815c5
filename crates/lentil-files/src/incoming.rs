use std::sync::Arc;

use futures_util::TryStreamExt;
use lentil_store::FileError;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::runtime::Handle;

use crate::multipart::{Multipart, empty_part};
use crate::object::Place;

/// An object under `incoming/`. Dropping it deletes the object.
pub(crate) struct Incoming {
    place: Arc<Place>,
    pub(crate) path: Path,
}

impl Incoming {
    pub(crate) fn new(place: &Arc<Place>) -> Result<Incoming, FileError> {
        Ok(Incoming {
            place: Arc::clone(place),
            path: place.new_path()?,
        })
    }

    /// Copies the object within the store. An object over the store's copy limit is read and sent again.
    pub(crate) async fn copy(&self, size: u64, to: &Path) -> Result<(), FileError> {
        let place = &self.place;
        if size > place.copy_limit {
            return self.send_again(to).await;
        }
        let copied = place.objects.copy(&self.path, to).await;
        copied.map_err(|error| place.error("naming a file", &error))
    }

    async fn send_again(&self, to: &Path) -> Result<(), FileError> {
        let failed = |error: object_store::Error| self.place.error("naming a file", &error);
        let mut chunks = self
            .place
            .objects
            .get(&self.path)
            .await
            .map_err(failed)?
            .into_stream();
        let mut copy = Multipart::start(&self.place, to, empty_part()).await?;
        while let Some(chunk) = chunks.try_next().await.map_err(failed)? {
            copy.write(&chunk).await?;
        }
        copy.complete().await
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (place, path) = (Arc::clone(&self.place), self.path.clone());
        // The sweep removes an object that remains, a day later.
        runtime.spawn(async move { drop(place.delete(&path).await) });
    }
}
