use std::io;
use std::path::Path;
use std::sync::Arc;

use lentil_files::{LocalFiles, ObjectFiles, S3Url};
use lentil_store::{FileError, FileStore};

/// Where files are to be kept.
pub(crate) enum Place {
    DataFolder,
    S3(ObjectFiles),
}

impl Place {
    /// The place of this URL, of which is known that it can be reached; nothing is written there yet.
    pub(crate) async fn find(url: Option<&S3Url>) -> Result<Place, FileError> {
        match url {
            Some(url) => Ok(Place::S3(ObjectFiles::open_s3(url).await?)),
            None => Ok(Place::DataFolder),
        }
    }

    /// The files there; what dead servers were writing is removed.
    pub(crate) async fn open(self, data: &Path) -> Result<Arc<dyn FileStore>, FileError> {
        match self {
            Place::DataFolder => {
                let folder = data.join("files");
                let opening = tokio::task::spawn_blocking(move || LocalFiles::open(&folder));
                let opened = opening.await.map_err(|error| FileError::new("opening", io::Error::other(error)))?;
                Ok(Arc::new(opened?))
            }
            Place::S3(files) => {
                tokio::spawn(sweep(files.clone()));
                Ok(Arc::new(files))
            }
        }
    }
}

async fn sweep(files: ObjectFiles) {
    match files.sweep_incoming().await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "what dead servers had left of files was removed"),
        Err(error) => tracing::warn!(%error, "what dead servers have left of files could not be removed"),
    }
}
