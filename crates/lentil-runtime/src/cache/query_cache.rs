use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;
use lentil_store::conflict::RecentCommits;
use lentil_store::{Commit, CommitObserver, Store, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::cache_key::CacheKey;
use super::doorkeeper::Doorkeeper;
use super::entries::{Entries, Entry};
use super::query_result::QueryResult;
use super::single_flight::{InFlight, Started, Waiter};

/// The duration for which a result that read the time is reused.
const TIME_RESULT_TTL_MS: f64 = 5_000.0;
/// The memory of an entry beside its value, key and read set.
const ENTRY_OVERHEAD_BYTES: usize = 1_024;

/// The counts of the cache since its start, and its present size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Requests that found a result.
    pub hits: u64,
    /// Requests that executed the query.
    pub misses: u64,
    /// Requests that waited for another request's execution.
    pub coalesced: u64,
    /// Results that a commit invalidated.
    pub invalidations: u64,
    /// Results that were removed to make room.
    pub evictions: u64,
    /// Results in the cache.
    pub entries: usize,
    /// The estimated memory of the results, in bytes.
    pub bytes: usize,
}

/// The query cache, bounded in bytes. Results that were not used recently are evicted first.
pub struct QueryCache {
    state: Mutex<State>,
    /// Each cache has a random hasher, so that clients cannot choose keys that collide.
    hasher: DefaultHashBuilder,
    max_bytes: usize,
}

#[derive(Default)]
struct State {
    entries: Entries,
    recent: RecentCommits,
    in_flight: InFlight,
    doorkeeper: Doorkeeper,
    /// The functions that have asked for their user.
    user_specific: HashSet<Arc<str>>,
    stats: CacheStats,
}

/// A request to the cache.
pub struct CacheRequest<'a> {
    /// The key of the call.
    pub key: CacheKey,
    /// The calling user: equal for the same user and different for others.
    pub user: Arc<str>,
    /// The timestamp that was published when the request began. The result includes every commit up
    /// to it.
    pub since: Timestamp,
    /// The current time, in milliseconds.
    pub now_ms: f64,
    /// Limits concurrent executions. Requests that share an execution share one permit.
    pub limit: Option<ConcurrencyLimit<'a>>,
}

/// A limit of concurrent executions.
#[derive(Clone, Copy)]
pub struct ConcurrencyLimit<'a> {
    /// One permit for each execution.
    pub permits: &'a Semaphore,
    /// The store that the executions read.
    pub store: &'a dyn Store,
}

/// The next step of a request.
enum Step {
    Hit(Arc<QueryResult>),
    Wait(Waiter),
    Execute(Started),
}

impl QueryCache {
    /// Returns an empty cache that holds at most about this many bytes.
    pub fn new(max_bytes: usize) -> QueryCache {
        QueryCache {
            state: Mutex::default(),
            hasher: DefaultHashBuilder::default(),
            max_bytes,
        }
    }

    /// Returns the valid result of a call, if there is one.
    pub fn get(&self, request: &CacheRequest<'_>) -> Option<Arc<QueryResult>> {
        // Hashed outside of the lock, so that long arguments do not delay other requests.
        let hash = self.hasher.hash_one(&request.key);
        self.state.lock().get(request, hash)
    }

    /// Returns a valid result of a call: a cached one, that of a concurrent execution, or a new one
    /// from `execution`.
    ///
    /// # Errors
    /// Those of `execution`, which are the server's; a function's own error is a result.
    pub async fn get_or_execute<E>(
        &self,
        request: CacheRequest<'_>,
        execution: impl Future<Output = Result<QueryResult, E>>,
    ) -> Result<Arc<QueryResult>, E> {
        let hash = self.hasher.hash_one(&request.key);
        let started = loop {
            let step = self.state.lock().next_step(&request, hash);
            match step {
                Step::Hit(result) => return Ok(result),
                Step::Execute(started) => break started,
                Step::Wait(waiter) => {
                    // An error means that the execution failed or was dropped. Then this request
                    // tries again.
                    if let Ok(result) = waiter.result.await
                        // A result that depends on the user belongs to that user only. By now the
                        // function is known to be user-specific, so the next attempt uses the key
                        // of this user.
                        && (waiter.is_same_user || !result.read_set.reads_identity())
                    {
                        return Ok(result);
                    }
                }
            }
        };
        // The guard also ends the execution when this future is dropped. Otherwise later requests
        // would wait for a result that never comes.
        let guard = EndOnDrop {
            cache: self,
            started: &started,
        };
        let _permit = match &request.limit {
            Some(limit) => {
                let permit = limit.permits.acquire().await;
                // The execution opens its snapshot after this, so the snapshot includes all of
                // these commits.
                let published = limit.store.published();
                let mut state = self.state.lock();
                state
                    .in_flight
                    .begin(&started.key, started.number, published);
                permit.ok()
            }
            None => None,
        };

        let result = Arc::new(execution.await?);
        self.state
            .lock()
            .insert(&request, hash, &result, self.max_bytes);
        // End the execution before the waiters are served, so that no request joins it afterwards.
        drop(guard);
        for waiter in started.waiters.lock().drain(..) {
            // A waiter that went away has dropped its receiver.
            let _ = waiter.send(Arc::clone(&result));
        }
        Ok(result)
    }

    /// Evicts about this many bytes of results, or all if there are fewer.
    pub(crate) fn evict(&self, bytes: usize) {
        let mut state = self.state.lock();
        let target = state.entries.bytes().saturating_sub(bytes);
        while state.entries.bytes() > target {
            state.entries.evict();
            state.stats.evictions += 1;
        }
    }

    /// Returns whether a result that is valid now was valid at `earlier` too: no commit since then
    /// invalidates it.
    ///
    /// All commits up to the result's timestamp must be published, so that the cache knows them.
    pub fn was_valid_at(&self, result: &QueryResult, earlier: Timestamp) -> bool {
        let state = self.state.lock();
        let first = state.recent.first_invalidating(&result.read_set, earlier);
        first.is_none_or(|first| first > result.timestamp)
    }

    /// Returns the counts and the size of the cache.
    pub fn stats(&self) -> CacheStats {
        let state = self.state.lock();
        CacheStats {
            entries: state.entries.len(),
            bytes: state.entries.bytes(),
            ..state.stats
        }
    }
}

impl CommitObserver for QueryCache {
    fn committed(&self, commit: &Arc<Commit>) {
        let mut state = self.state.lock();
        for slot in state.entries.invalidated_by(commit) {
            // A result may already include a commit that the observer is only now notified of.
            let is_earlier = |entry: &Entry| entry.result.timestamp < commit.timestamp;
            if state.entries.get(slot).is_some_and(is_earlier) {
                state.entries.remove(slot);
                state.stats.invalidations += 1;
            }
        }
        state.recent.add(commit);
    }

    fn everything_changed(&self, timestamp: Timestamp) {
        let mut state = self.state.lock();
        for slot in state.entries.older_than(timestamp) {
            state.entries.remove(slot);
            state.stats.invalidations += 1;
        }
        state.recent.forget_all(timestamp);
    }
}

/// Ends an execution in [`InFlight`] when it is done or dropped.
struct EndOnDrop<'c> {
    cache: &'c QueryCache,
    started: &'c Started,
}

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.state.lock();
        state.in_flight.end(&self.started.key, self.started.number);
    }
}

impl State {
    /// Decides the next step of a request. `hash` is the hash of its key.
    fn next_step(&mut self, request: &CacheRequest<'_>, hash: u64) -> Step {
        if let Some(result) = self.get(request, hash) {
            return Step::Hit(result);
        }
        let key = match self.user_key(request) {
            Some(key) => key,
            None => request.key.clone(),
        };
        if let Some(waiter) = self.in_flight.join(&key, &request.user, request.since) {
            self.stats.coalesced += 1;
            return Step::Wait(waiter);
        }
        self.stats.misses += 1;
        let since = match request.limit {
            // The execution waits for a permit first, and then reads the latest commits.
            Some(_) => None,
            None => Some(request.since),
        };
        let user = Arc::clone(&request.user);
        Step::Execute(self.in_flight.start(key, user, since))
    }

    /// Returns the valid result of a call, if there is one.
    fn get(&mut self, request: &CacheRequest<'_>, hash: u64) -> Option<Arc<QueryResult>> {
        // The shared result comes first, because not every execution of a user-specific function
        // asks for its user.
        let shared = self.find(&request.key, hash, request.now_ms);
        let result = match shared {
            Some(result) => result,
            None => self.find(&self.user_key(request)?, hash, request.now_ms)?,
        };
        self.stats.hits += 1;
        Some(result)
    }

    /// Returns the key of the user's own result, if the function has asked for its user.
    fn user_key(&self, request: &CacheRequest<'_>) -> Option<CacheKey> {
        let is_user_specific = self.user_specific.contains(&request.key.function);
        is_user_specific.then(|| request.key.for_user(&request.user))
    }

    /// Finds the result of a key, and removes it if its time is over.
    fn find(&mut self, key: &CacheKey, hash: u64, now_ms: f64) -> Option<Arc<QueryResult>> {
        let slot = self.entries.find(hash, key)?;
        let entry = self.entries.get_mut(slot)?;
        if entry.valid_ms.contains(&now_ms) {
            entry.was_used = true;
            return Some(Arc::clone(&entry.result));
        }
        self.entries.remove(slot);
        None
    }

    fn insert(
        &mut self,
        request: &CacheRequest<'_>,
        hash: u64,
        result: &Arc<QueryResult>,
        max_bytes: usize,
    ) {
        if result.read_set.reads_identity() {
            let function = Arc::clone(&request.key.function);
            self.user_specific.insert(function);
        }
        let Ok(value) = &result.result else {
            return;
        };
        // The key contains the journal of this request, which a repeated request has too.
        let key = request.key.of_result(result, &request.user);
        // The charge covers the result; the value's size is added for its JSON text, which a caller
        // may ask for later.
        let size = ENTRY_OVERHEAD_BYTES + 2 * key.size() + result.charge.bytes() + value.size();
        let is_valid = self.recent.leave_valid(&result.read_set, result.timestamp);
        // A result above a quarter of the cache would evict too many others.
        if size > max_bytes / 4 || !is_valid {
            return;
        }

        let is_full = self.entries.bytes() + size > max_bytes;
        match self.entries.find(hash, &key) {
            Some(slot) => {
                // Two executions of one key may end in another order than that of their snapshots.
                let is_newer = |entry: &Entry| entry.result.timestamp > result.timestamp;
                if self.entries.get(slot).is_some_and(is_newer) {
                    return;
                }
                self.entries.remove(slot);
            }
            None if is_full && !self.doorkeeper.admits(hash) => return,
            None => {}
        }
        while self.entries.bytes() + size > max_bytes {
            self.entries.evict();
            self.stats.evictions += 1;
        }
        let valid_ms = if result.read_set.reads_time() {
            // The range has a lower end, so that a clock that is set back does not extend the
            // validity.
            request.now_ms - TIME_RESULT_TTL_MS..request.now_ms + TIME_RESULT_TTL_MS
        } else {
            f64::NEG_INFINITY..f64::INFINITY
        };
        self.entries.insert(Entry {
            key,
            hash,
            result: Arc::clone(result),
            size,
            valid_ms,
            was_used: false,
        });
    }
}
