use std::sync::Arc;
use std::time::Duration;

use lentil_store::{Store, StoreError, Transaction};
use parking_lot::Mutex;
use tokio::time::Instant;

/// A mutation that has met a conflict this often runs exclusively from then on.
const EXCLUSIVE_AFTER_ATTEMPTS: u32 = 2;
/// The interval in which a waiting mutation logs the holder of the write lock.
const LOCK_WARN_INTERVAL: Duration = Duration::from_secs(1);

/// The mutation that holds the write lock, and since when, so that a waiting mutation can log it.
#[derive(Default)]
pub(crate) struct WriteLockHolder(Mutex<Option<(Arc<str>, Instant)>>);

/// Names its mutation as the holder of the write lock until it is dropped.
pub(crate) struct WriteLockGuard<'a> {
    holder: &'a WriteLockHolder,
    /// When the mutation got the lock.
    pub(crate) since: Instant,
}

impl WriteLockHolder {
    /// Begins a transaction for an attempt of a mutation. Logs the holder of the write lock while
    /// it waits long.
    pub(crate) async fn begin(
        &self,
        store: &dyn Store,
        name: &Arc<str>,
        attempt: u32,
    ) -> Result<(Box<dyn Transaction>, WriteLockGuard<'_>), StoreError> {
        let mut begin = if attempt < EXCLUSIVE_AFTER_ATTEMPTS {
            store.begin()
        } else {
            store.begin_exclusive()
        };
        let transaction = loop {
            // The same future is polled in each round, because a new one would go to the end of the
            // queue.
            match tokio::time::timeout(LOCK_WARN_INTERVAL, &mut begin).await {
                Ok(begun) => break begun?,
                Err(_) => self.warn(name),
            }
        };
        Ok((transaction, self.hold(name)))
    }

    fn hold(&self, name: &Arc<str>) -> WriteLockGuard<'_> {
        let since = Instant::now();
        *self.0.lock() = Some((Arc::clone(name), since));
        WriteLockGuard {
            holder: self,
            since,
        }
    }

    fn warn(&self, waiting: &str) {
        if let Some((holder, since)) = &*self.0.lock() {
            let held_ms = since.elapsed().as_millis() as u64;
            tracing::warn!(
                function = &**holder,
                held_ms,
                waiting,
                "a mutation waits for the write lock"
            );
        }
    }
}

impl Drop for WriteLockGuard<'_> {
    fn drop(&mut self) {
        *self.holder.0.lock() = None;
    }
}
