use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of documents that a query may read without a permit.
pub(crate) const BYTES_WITHOUT_PERMIT: usize = 1 << 20;
/// Rows that a query fetches at once without a permit, while it does not know how large its documents are.
pub(crate) const ROWS_WITHOUT_PERMIT: usize = 4;
/// The memory that a query with a permit may take before its result is charged to a client: the documents that it reads,
/// its result, and a copy of that.
const BYTES_PER_PERMIT: usize = 128 << 20;

/// The permits of queries that read much.
///
/// A query that executes holds memory that no client is charged for yet. The permits bound the sum of it: few large queries
/// execute at a time, and the others wait. A query that reads up to 1 MiB needs no permit and never waits for one.
#[derive(Clone, Debug)]
pub struct LargeReads(Arc<Semaphore>);

/// The right to read more than 1 MiB in one query, until it is dropped.
#[derive(Debug)]
pub struct LargeReadPermit(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

/// The read budget of a transaction.
#[derive(Debug)]
pub enum ReadBudget {
    /// As much as the limits of one call allow: a mutation, of which one executes at a time.
    Unlimited,
    /// Up to 1 MiB, and more if a permit is free when the query needs it.
    Small,
    /// As much as the limits of one call allow, with this permit. It is given back after a fetch that was small.
    Fetching(LargeReadPermit),
    /// As much as the limits of one call allow, with this permit.
    Permitted(LargeReadPermit),
    /// The query needed a permit and none was free. It failed, and executes again with a permit.
    Exceeded,
}

impl LargeReads {
    /// Returns as many permits as fit into a memory budget in bytes, but at least one.
    pub fn within(budget: usize) -> LargeReads {
        // At least one, because a large query would otherwise wait forever.
        let permits = (budget / BYTES_PER_PERMIT).clamp(1, Semaphore::MAX_PERMITS);
        LargeReads(Arc::new(Semaphore::new(permits)))
    }

    /// Waits for a permit; the longest waiter is the next to get one.
    pub async fn acquire(&self) -> LargeReadPermit {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        LargeReadPermit(permit.expect("the semaphore is never closed"))
    }

    /// Takes a permit if one is free.
    pub(crate) fn try_acquire(&self) -> Option<LargeReadPermit> {
        Arc::clone(&self.0)
            .try_acquire_owned()
            .ok()
            .map(LargeReadPermit)
    }
}
