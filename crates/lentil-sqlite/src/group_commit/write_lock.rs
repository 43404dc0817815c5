use std::sync::Arc;
use std::time::Duration;

use lentil_store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::policy::Event;
use super::queue::CommitQueue;

/// The lock under which mutations execute, one at a time. Waiters acquire it in order.
pub(crate) struct WriteLock {
    semaphore: Arc<Semaphore>,
    queue: Arc<CommitQueue>,
    max_wait: Duration,
}

/// Holds the write lock until it is dropped.
pub(crate) struct WriterPermit {
    _permit: OwnedSemaphorePermit,
}

impl WriteLock {
    pub(crate) fn new(queue: Arc<CommitQueue>, max_wait: Duration) -> WriteLock {
        WriteLock {
            semaphore: Arc::new(Semaphore::new(1)),
            queue,
            max_wait,
        }
    }

    /// Acquires the write lock.
    ///
    /// # Errors
    /// [`StoreError::Busy`] after the timeout, and [`StoreError::Closed`].
    pub(crate) async fn acquire(&self) -> Result<WriterPermit, StoreError> {
        if let Ok(permit) = Arc::clone(&self.semaphore).try_acquire_owned() {
            return Ok(WriterPermit { _permit: permit });
        }
        let _queued = Queued::new(&self.queue);
        let permit = Arc::clone(&self.semaphore).acquire_owned();
        match tokio::time::timeout(self.max_wait, permit).await {
            Ok(Ok(permit)) => Ok(WriterPermit { _permit: permit }),
            Ok(Err(_)) => Err(StoreError::Closed),
            Err(_) => Err(StoreError::Busy {
                waited: self.max_wait,
            }),
        }
    }

    /// Refuses later callers. The holder keeps the lock.
    pub(crate) fn close(&self) {
        self.semaphore.close();
    }
}

/// Reports to the policy that a mutation is queued, until it is dropped.
struct Queued<'q>(&'q CommitQueue);

impl<'q> Queued<'q> {
    fn new(queue: &'q CommitQueue) -> Queued<'q> {
        queue.report(Event::Queued);
        Queued(queue)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.report(Event::Dequeued);
    }
}
