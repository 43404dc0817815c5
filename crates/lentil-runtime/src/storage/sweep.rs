use futures_util::StreamExt;
use lentil_store::{ContentHash, DocumentWrite, FileError};
use lentil_values::TableNames;

use super::FileInfo;
use data_encoding::BASE64;

use crate::system::SystemTable;
use crate::system::storage::{BY_SHA256, TABLE};
use crate::{Result, Runtime};

impl Runtime {
    /// Removes the contents that no document names: what a crash has left between two steps. It may run while files
    /// are stored and deleted. Returns how many there were.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn sweep_files(&self) -> Result<usize, FileError> {
        let mut removed = 0;
        let mut contents = self.files().list();
        while let Some(hash) = contents.next().await.transpose()? {
            removed += usize::from(self.remove_if_unneeded(hash).await);
        }
        Ok(removed)
    }

    /// The contents of the files that a transaction deletes.
    pub(crate) fn deleted_contents(&self, writes: &[DocumentWrite]) -> Vec<ContentHash> {
        let is_file = |write: &DocumentWrite| self.tables().number(TABLE) == Some(write.id.table);
        let deleted = writes
            .iter()
            .filter(|write| write.new.is_none() && is_file(write));
        deleted
            .filter_map(|write| FileInfo::of(write.old.as_ref()?))
            .map(|file| file.hash)
            .collect()
    }

    /// Removes what nobody needs any more of these contents, after the deletion of their files is durable.
    pub(crate) fn release_contents(&self, contents: Vec<ContentHash>) {
        if contents.is_empty() {
            return;
        }
        let runtime = self.clone();
        tokio::spawn(async move {
            for hash in contents {
                runtime.remove_if_unneeded(hash).await;
            }
        });
    }

    /// Removes a content unless a document names it. What fails is left for the next sweep.
    pub(super) async fn remove_if_unneeded(&self, hash: ContentHash) -> bool {
        let _held = self.content_locks().lock(&hash).await;
        match self.is_needed(hash).await {
            Ok(true) => return false,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%hash, %error, "whether a content is still needed could not be found out");
                return false;
            }
        }
        let removed = self.files().remove(&hash).await;
        if let Err(error) = &removed {
            tracing::warn!(%hash, %error, "a content that nobody needs could not be removed");
        }
        removed.is_ok()
    }

    async fn is_needed(&self, hash: ContentHash) -> Result<bool> {
        let mut transaction = self.reading().await?;
        let sha256 = BASE64.encode(&hash.0).into();
        let found = SystemTable::open(&mut transaction, TABLE)
            .find(BY_SHA256, &[sha256], 1)
            .await?;
        Ok(!found.is_empty())
    }
}
