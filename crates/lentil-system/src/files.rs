//! Blobs that a crash has left without a document.

use async_trait::async_trait;
use futures_util::StreamExt;
use lentil_runtime::{Runtime, SystemModule};
use lentil_store::FileError;
use tokio_util::sync::CancellationToken;

/// Sweeps the blobs when the server starts.
pub(crate) struct Sweep;

#[async_trait]
impl SystemModule for Sweep {
    async fn run(&self, runtime: &Runtime, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            swept = sweep(runtime) => match swept {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed blobs that no document names"),
                Err(error) => tracing::warn!(%error, "failed to list the blobs"),
            },
        }
    }
}

/// Removes the blobs that no document names, which a crash between two steps has left, and returns
/// their number.
///
/// Files may be stored and deleted meanwhile.
///
/// # Errors
/// When the blobs cannot be listed.
pub async fn sweep(runtime: &Runtime) -> Result<usize, FileError> {
    let files = runtime.files();
    let mut removed = 0;
    let mut blobs = files.blobs();
    while let Some(hash) = blobs.next().await.transpose()? {
        removed += usize::from(files.remove_unused(hash).await);
    }
    Ok(removed)
}
