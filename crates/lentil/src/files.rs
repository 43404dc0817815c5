//! Where files are kept: in the data folder, or on S3.
//!
//! At each start the contents are removed that no document names. So that a database does not remove another's, it
//! has a name, in `files-owner` in its data folder, and writes it beside its files on S3.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use lentil_files::{LocalFiles, ObjectFiles, S3Url};
use lentil_store::{FileError, FileStore};

use crate::secrets;
use crate::serve::ServeError;

/// The name of a database, in its data folder.
const OWNER: &str = "files-owner";

/// Where files are to be kept.
pub(crate) enum Place {
    DataFolder,
    S3 {
        files: ObjectFiles,
        is_claimed: bool,
    },
}

impl Place {
    /// The place of this URL, of which is known that it can be used; nothing is written there yet.
    pub(crate) async fn find(url: Option<&S3Url>, data: &Path) -> Result<Place, ServeError> {
        let Some(url) = url else {
            return Ok(Place::DataFolder);
        };
        let files = ObjectFiles::open_s3(url).await?;
        let owner = files.owner().await?;
        if owner.is_some() && owner != read_name(data)? {
            return Err(ServeError::ForeignFiles(url.to_string()));
        }
        Ok(Place::S3 {
            files,
            is_claimed: owner.is_some(),
        })
    }

    /// The files there; what dead servers were writing is removed.
    pub(crate) async fn open(self, data: &Path) -> Result<Arc<dyn FileStore>, ServeError> {
        match self {
            Place::DataFolder => {
                let folder = data.join("files");
                let opening = tokio::task::spawn_blocking(move || LocalFiles::open(&folder));
                Ok(Arc::new(opening.await.map_err(io::Error::other)??))
            }
            Place::S3 { files, is_claimed } => {
                if !is_claimed {
                    files.claim(&name(data)?).await?;
                }
                tokio::spawn(sweep(files.clone()));
                Ok(Arc::new(files))
            }
        }
    }
}

/// The database's name, made if it has none.
fn name(data: &Path) -> Result<String, ServeError> {
    if let Some(name) = read_name(data)? {
        return Ok(name);
    }
    let name = secrets::make("")?;
    secrets::write_new(&data.join(OWNER), &name)?;
    Ok(name)
}

fn read_name(data: &Path) -> Result<Option<String>, ServeError> {
    let path = data.join(OWNER);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::new(format!("reading {}", path.display()), error).into()),
    }
}

async fn sweep(files: ObjectFiles) {
    match files.sweep_incoming().await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "what dead servers had left of files was removed"),
        Err(error) => {
            tracing::warn!(%error, "what dead servers have left of files could not be removed")
        }
    }
}
