//! Where files are stored: in the data folder, or on S3.
//!
//! Each start deletes blobs that no document references. A database must not delete the blobs of
//! another. So it has a name, in `files-owner` in its data folder, and records this name beside its
//! files on S3.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use lentil_files::{LocalFiles, ObjectFiles, S3Url};
use lentil_store::{FileError, FileStore};

use crate::error::ServeError;
use crate::secrets;

/// The file in the data folder that holds the database's name.
const OWNER_FILE: &str = "files-owner";

/// Where files are stored.
pub(crate) enum FileLocation {
    DataFolder,
    S3 {
        files: ObjectFiles,
        is_claimed: bool,
    },
}

impl FileLocation {
    /// Checks that the location of this URL can be used. Writes nothing yet.
    pub(crate) async fn find(url: Option<&S3Url>, data: &Path) -> Result<FileLocation, ServeError> {
        let Some(url) = url else {
            return Ok(FileLocation::DataFolder);
        };
        let files = ObjectFiles::open_s3(url).await?;
        let owner = files.owner().await?;
        if owner.is_some() && owner != read_name(data)? {
            return Err(ServeError::ForeignFiles(url.to_string()));
        }
        Ok(FileLocation::S3 {
            files,
            is_claimed: owner.is_some(),
        })
    }

    /// Opens the files, and removes unfinished files of earlier processes.
    pub(crate) async fn open(self, data: &Path) -> Result<Arc<dyn FileStore>, ServeError> {
        match self {
            FileLocation::DataFolder => {
                let folder = data.join("files");
                let opening = tokio::task::spawn_blocking(move || LocalFiles::open(&folder));
                Ok(Arc::new(opening.await.map_err(io::Error::other)??))
            }
            FileLocation::S3 { files, is_claimed } => {
                if !is_claimed {
                    // The name is durable before S3 records it. Otherwise a crash could lock this
                    // database out of its own prefix.
                    files.claim(&read_or_create_name(data)?).await?;
                }
                // In the background, because a listing of S3 takes long and the start does not
                // depend on it.
                tokio::spawn(sweep(files.clone()));
                Ok(Arc::new(files))
            }
        }
    }
}

/// Returns the database's name, and creates one if it has none.
fn read_or_create_name(data: &Path) -> Result<String, ServeError> {
    if let Some(name) = read_name(data)? {
        return Ok(name);
    }
    let name = secrets::generate("")?;
    secrets::write_new(&data.join(OWNER_FILE), &name)?;
    Ok(name)
}

fn read_name(data: &Path) -> Result<Option<String>, ServeError> {
    let path = data.join(OWNER_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::new(format!("reading {}", path.display()), error).into()),
    }
}

async fn sweep(files: ObjectFiles) {
    match files.sweep_incoming().await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "removed unfinished files of earlier processes"),
        Err(error) => {
            tracing::warn!(%error, "could not remove unfinished files of earlier processes; the next start tries again")
        }
    }
}
