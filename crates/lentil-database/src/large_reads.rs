use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of documents that a query may read without a permit.
pub(crate) const BYTES_WITHOUT_PERMIT: usize = 1 << 20;
/// Rows that a query may fetch at once without a permit. Their size is known only when they are in
/// memory.
pub(crate) const ROWS_WITHOUT_PERMIT: usize = 4;
/// The memory that a query with a permit may take before it is charged: its documents, its result,
/// and a copy of the result.
const BYTES_PER_PERMIT: usize = 128 << 20;

/// The permits for large reads.
///
/// An executing query holds memory that no client is charged for yet. The permits bound its sum:
/// few large queries execute at a time, and the others wait. A query that reads up to 1 MiB never
/// waits for a permit.
///
/// A fetch of more than 4 rows takes a free permit while it lasts. If none is free, it fetches 4
/// rows. A query that finds no free permit at 1 MiB fails, waits for a permit, and executes again
/// with it.
#[derive(Clone, Debug)]
pub struct LargeReads(Arc<Semaphore>);

/// A permit to read more than 1 MiB in one query. Dropping it releases it.
#[derive(Debug)]
pub struct LargeReadPermit(
    #[expect(dead_code, reason = "dropping it releases the permit")] OwnedSemaphorePermit,
);

/// The read budget of a transaction.
#[derive(Debug)]
pub enum ReadBudget {
    /// Only the limits of one call: for mutations, of which one executes at a time, and for tests.
    Unlimited,
    /// Up to 1 MiB. To read more, the query takes a permit if one is free.
    Small,
    /// The same with a permit for the current fetch. It is released after the fetch if the query
    /// has read up to 1 MiB.
    Fetching(LargeReadPermit),
    /// Only the limits of one call, with a permit.
    Permitted(LargeReadPermit),
    /// The query needed a permit and none was free. It failed, and executes again with a permit.
    Exceeded,
}

impl From<Option<LargeReadPermit>> for ReadBudget {
    fn from(permit: Option<LargeReadPermit>) -> ReadBudget {
        match permit {
            Some(permit) => ReadBudget::Permitted(permit),
            None => ReadBudget::Small,
        }
    }
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
