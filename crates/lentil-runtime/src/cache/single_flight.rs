use std::sync::Arc;

use hashbrown::HashMap;
use lentil_store::Timestamp;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::cache_key::CacheKey;
use super::query_result::QueryResult;

/// Later than every commit.
const END_OF_TIME: Timestamp = Timestamp::from_nanos(u64::MAX);

/// The executions that other requests of the same key can wait for, the latest of each key.
#[derive(Default)]
pub(super) struct InFlight {
    executions: HashMap<CacheKey, RunningExecution>,
    /// The number of the latest execution.
    latest: u64,
}

struct RunningExecution {
    number: u64,
    user: Arc<str>,
    /// The result will include all commits up to this timestamp.
    since: Timestamp,
    waiters: Waiters,
}

/// The requests that wait for an execution.
///
/// The execution owns the list too. So its waiters get the result even after another execution has
/// replaced it in [`InFlight`].
pub(super) type Waiters = Arc<Mutex<Vec<oneshot::Sender<Arc<QueryResult>>>>>;

/// A place in the list of an execution's waiters.
pub(super) struct Waiter {
    /// Whether the execution is for the waiter's own user.
    pub(super) is_same_user: bool,
    pub(super) result: oneshot::Receiver<Arc<QueryResult>>,
}

/// An execution that has been added to [`InFlight`].
pub(super) struct Started {
    pub(super) number: u64,
    pub(super) key: CacheKey,
    pub(super) waiters: Waiters,
}

impl InFlight {
    /// Waits for the execution of this key, if its result will include all commits up to `since`.
    pub(super) fn join(
        &mut self,
        key: &CacheKey,
        user: &Arc<str>,
        since: Timestamp,
    ) -> Option<Waiter> {
        let execution = self.executions.get_mut(key)?;
        // The execution may lack a commit whose effect the client of this request has already seen.
        if execution.since < since {
            return None;
        }
        let (sender, result) = oneshot::channel();
        execution.waiters.lock().push(sender);
        Some(Waiter {
            is_same_user: execution.user == *user,
            result,
        })
    }

    /// Adds an execution that reads at `since` or later. Without `since` it is queued, and any
    /// request can wait for it.
    pub(super) fn start(
        &mut self,
        key: CacheKey,
        user: Arc<str>,
        since: Option<Timestamp>,
    ) -> Started {
        self.latest += 1;
        let number = self.latest;
        let waiters = Waiters::default();
        let execution = RunningExecution {
            number,
            user,
            since: since.unwrap_or(END_OF_TIME),
            waiters: Arc::clone(&waiters),
        };
        self.executions.insert(key.clone(), execution);
        Started {
            number,
            key,
            waiters,
        }
    }

    /// Notes that a queued execution begins, and reads at `since` or later.
    pub(super) fn begin(&mut self, key: &CacheKey, number: u64, since: Timestamp) {
        if let Some(execution) = self.executions.get_mut(key)
            // Another execution may have replaced this one in the map.
            && execution.number == number
        {
            execution.since = since;
        }
    }

    /// Removes an execution, unless another has replaced it.
    pub(super) fn end(&mut self, key: &CacheKey, number: u64) {
        if self
            .executions
            .get(key)
            .is_some_and(|execution| execution.number == number)
        {
            self.executions.remove(key);
        }
    }
}
