use lentil_store::ContentHash;
use tokio::sync::{Mutex, MutexGuard};

/// One at a time stores or removes a content: else a content could be removed for which a document is just being
/// written. Contents that share a lock only wait for each other.
pub(crate) struct ContentLocks(Vec<Mutex<()>>);

impl Default for ContentLocks {
    fn default() -> ContentLocks {
        ContentLocks((0..=u8::MAX).map(|_| Mutex::new(())).collect())
    }
}

impl ContentLocks {
    pub(crate) async fn lock(&self, hash: &ContentHash) -> MutexGuard<'_, ()> {
        self.0[usize::from(hash.0[0])].lock().await
    }
}
