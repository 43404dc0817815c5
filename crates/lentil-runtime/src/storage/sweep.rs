use futures_util::StreamExt;
use lentil_store::FileError;

use super::Files;

impl Files {
    /// Removes the blobs that no document names, which a crash between two steps has left, and returns their number.
    ///
    /// Files may be stored and deleted meanwhile.
    ///
    /// # Errors
    /// When the blobs cannot be listed.
    pub async fn sweep(&self) -> Result<usize, FileError> {
        let mut removed = 0;
        let mut blobs = self.blobs();
        while let Some(hash) = blobs.next().await.transpose()? {
            removed += usize::from(self.remove_unused(hash).await);
        }
        Ok(removed)
    }
}
