use std::collections::HashMap;
use std::sync::{Arc, Weak};

use lentil_store::conflict::{IntervalMap, RecentCommits};
use lentil_store::{Commit, CommitObserver, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use super::invalidation::Invalidation;
use crate::cache::{CacheKey, QueryCache, QueryResult};

/// Live queries that execute at the same time. Others wait in order, so that no query starves.
const MAX_LIVE_EXECUTIONS: usize = 16;

/// A subscriber that is notified when a query that it watches may have changed.
pub(crate) struct Watcher {
    number: u64,
    pub(crate) changed: Notify,
}

/// The watched queries, indexed by the read sets of their results.
pub(crate) struct LiveQueries {
    cache: Arc<QueryCache>,
    state: Mutex<State>,
    /// Notified when `State::to_notify` is not empty, and when this is dropped.
    has_invalidated: Arc<Notify>,
    /// One permit for each execution of a live query. A large query holds it while it waits for a
    /// permit to read.
    pub(crate) permits: Semaphore,
}

#[derive(Default)]
struct State {
    queries: HashMap<u64, LiveQuery>,
    by_key: HashMap<CacheKey, u64>,
    readers: IntervalMap,
    recent: RecentCommits,
    /// The watchers of the queries that commits have invalidated, until they are notified.
    to_notify: Vec<Arc<Watchers>>,
    /// The latest number of a query or a watcher.
    latest: u64,
}

/// The watchers of one query by their numbers, and how many times each watches it.
type Watchers = Mutex<HashMap<u64, (Arc<Watcher>, usize)>>;

struct LiveQuery {
    key: CacheKey,
    /// The results whose reads are in the interval map, the oldest first. There is one, unless the
    /// query reads different intervals each time, such as a query that asks for the time.
    results: Vec<Arc<QueryResult>>,
    invalidation: Arc<Invalidation>,
    watchers: Arc<Watchers>,
}

impl LiveQuery {
    /// Sets the invalidation for a commit at `timestamp`, and adds the watchers to `to_notify`.
    fn invalidate(&self, timestamp: Timestamp, to_notify: &mut Vec<Arc<Watchers>>) {
        // A result may already include a commit that the observer is only now notified of.
        let is_later = self
            .results
            .iter()
            .any(|result| result.timestamp < timestamp);
        // When the invalidation is set already, the watchers have been notified of it.
        if is_later && !self.invalidation.is_set() {
            self.invalidation.set(timestamp);
            to_notify.push(Arc::clone(&self.watchers));
        }
    }
}

impl LiveQueries {
    /// Returns the live queries of a new runtime. They notify `cache` of each commit first.
    pub(crate) fn new(cache: Arc<QueryCache>) -> Arc<LiveQueries> {
        let has_invalidated = Arc::new(Notify::new());
        let live = Arc::new(LiveQueries {
            cache,
            state: Mutex::default(),
            has_invalidated: Arc::clone(&has_invalidated),
            permits: Semaphore::new(MAX_LIVE_EXECUTIONS),
        });
        tokio::spawn(notify_watchers(Arc::downgrade(&live), has_invalidated));
        live
    }

    pub(crate) fn watcher(&self) -> Arc<Watcher> {
        let number = self.state.lock().next_number();
        Arc::new(Watcher {
            number,
            changed: Notify::new(),
        })
    }

    /// Remembers the commits after `timestamp` until the pin is dropped.
    pub(crate) fn pin(self: &Arc<Self>, timestamp: Timestamp) -> Pin {
        self.state.lock().recent.pin(timestamp);
        Pin {
            live: Arc::clone(self),
            timestamp,
        }
    }

    /// Begins to watch a query with a result that is valid at `since`, which must be pinned.
    ///
    /// The returned invalidation is set already if a commit since then invalidates the result.
    pub(crate) fn watch(
        &self,
        key: &CacheKey,
        result: &Arc<QueryResult>,
        since: Timestamp,
        watcher: &Arc<Watcher>,
    ) -> Arc<Invalidation> {
        let mut state = self.state.lock();
        // The result includes all commits up to its own snapshot, and is known to be valid at
        // `since`.
        let since = result.timestamp.max(since);
        // `committed` takes the same lock. So each commit is either in `recent` here, or finds the
        // result in the interval map.
        let invalidated = state.recent.first_invalidating(&result.read_set, since);
        let number = match state.by_key.get(key) {
            Some(number) => *number,
            None => state.add_query(key),
        };
        // Lock order: the state, then a query's watchers. `notify_watchers` takes only one of them
        // at a time.
        let mut watchers = state.queries[&number].watchers.lock();
        let (_, count) = watchers
            .entry(watcher.number)
            .or_insert_with(|| (Arc::clone(watcher), 0));
        *count += 1;
        drop(watchers);
        match invalidated {
            Some(timestamp) => Arc::new(Invalidation::at(timestamp)),
            None => state.add_result(number, result),
        }
    }

    /// Ends one watch of a query. The query is removed with its last watcher.
    pub(crate) fn unwatch(&self, key: &CacheKey, watcher: &Watcher) {
        let mut state = self.state.lock();
        let Some(number) = state.by_key.get(key).copied() else {
            return;
        };
        let watchers = Arc::clone(&state.queries[&number].watchers);
        let mut watchers = watchers.lock();
        if let Some((_, count)) = watchers.get_mut(&watcher.number) {
            *count -= 1;
            if *count == 0 {
                watchers.remove(&watcher.number);
            }
        }
        if watchers.is_empty() {
            state.remove_query(number);
        }
    }

    /// Returns the number of watched queries.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().queries.len()
    }
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.latest += 1;
        self.latest
    }

    fn add_query(&mut self, key: &CacheKey) -> u64 {
        let number = self.next_number();
        let query = LiveQuery {
            key: key.clone(),
            results: Vec::new(),
            invalidation: Arc::default(),
            watchers: Arc::default(),
        };
        self.queries.insert(number, query);
        self.by_key.insert(key.clone(), number);
        number
    }

    /// Adds a valid result of a query. Its invalidation is shared by all valid results of the
    /// query.
    fn add_result(&mut self, number: u64, result: &Arc<QueryResult>) -> Arc<Invalidation> {
        let query = self
            .queries
            .get_mut(&number)
            .expect("the caller has looked the query up");
        if query.invalidation.is_set() {
            for old in query.results.drain(..) {
                self.readers.remove(&old.read_set, number);
            }
            query.invalidation = Arc::default();
        }
        // A result that only this list holds is no longer watched.
        let readers = &mut self.readers;
        query.results.retain(|old| {
            let is_watched = Arc::strong_count(old) > 1;
            if !is_watched {
                readers.remove(&old.read_set, number);
            }
            is_watched
        });
        let is_known = query
            .results
            .iter()
            // The same commits invalidate results with equal reads, so one of them is enough.
            .any(|other| Arc::ptr_eq(other, result) || other.read_set == result.read_set);
        if !is_known {
            self.readers.insert(&result.read_set, number);
            query.results.push(Arc::clone(result));
        }
        Arc::clone(&query.invalidation)
    }

    fn remove_query(&mut self, number: u64) {
        let Some(query) = self.queries.remove(&number) else {
            return;
        };
        for result in &query.results {
            self.readers.remove(&result.read_set, number);
        }
        self.by_key.remove(&query.key);
    }
}

impl CommitObserver for LiveQueries {
    fn committed(&self, commit: &Arc<Commit>) {
        // The cache is invalidated first, so that a notified watcher does not find a stale result
        // there.
        self.cache.committed(commit);
        let mut state = self.state.lock();
        let state = &mut *state;
        if !state.readers.is_empty() {
            for entry in commit.entries() {
                state.readers.readers_of(entry, &mut |number| {
                    state.queries[&number].invalidate(commit.timestamp, &mut state.to_notify);
                });
            }
        }
        state.recent.add(commit);
        if !state.to_notify.is_empty() {
            self.has_invalidated.notify_one();
        }
    }

    fn everything_changed(&self, timestamp: Timestamp) {
        self.cache.everything_changed(timestamp);
        let mut state = self.state.lock();
        let state = &mut *state;
        for query in state.queries.values() {
            query.invalidate(timestamp, &mut state.to_notify);
        }
        state.recent.forget_all(timestamp);
        self.has_invalidated.notify_one();
    }
}

/// Notifies the watchers of invalidated queries, in a separate task, so that commits do not wait
/// for it.
async fn notify_watchers(live: Weak<LiveQueries>, has_invalidated: Arc<Notify>) {
    while let Some(strong) = live.upgrade() {
        let to_notify = std::mem::take(&mut strong.state.lock().to_notify);
        // Dropped before the wait, so that this task does not keep the live queries alive.
        drop(strong);
        for watchers in to_notify {
            // The lock is released before the notification, because a notified watcher takes it.
            let watchers: Vec<_> = watchers
                .lock()
                .values()
                .map(|(watcher, _)| Arc::clone(watcher))
                .collect();
            for watcher in watchers {
                // `notify_one` stores a permit for a watcher that does not wait yet.
                // `notify_waiters` would lose the change.
                watcher.changed.notify_one();
            }
        }
        has_invalidated.notified().await;
    }
}

impl Drop for LiveQueries {
    fn drop(&mut self) {
        // Ends the task that notifies watchers.
        self.has_invalidated.notify_one();
    }
}

/// See [`RecentCommits::pin`].
pub(crate) struct Pin {
    live: Arc<LiveQueries>,
    timestamp: Timestamp,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.live.state.lock().recent.unpin(self.timestamp);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use lentil_store::conflict::ReadSet;
    use lentil_values::{Object, Value};

    use super::*;
    use crate::executions::ExecutionId;
    use crate::memory::Charge;
    use lentil_call::{RequestId, Visibility};

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    /// A result that read nothing, at a snapshot.
    fn result(snapshot: u64) -> Arc<QueryResult> {
        Arc::new(QueryResult {
            result: Ok(Arc::new(Value::Null)),
            log_lines: Vec::new(),
            read_set: ReadSet::default(),
            timestamp: at(snapshot),
            journal: None,
            json: OnceLock::new(),
            charge: Charge::default(),
            request_id: RequestId::made(0),
            execution: ExecutionId::default(),
        })
    }

    #[tokio::test]
    async fn watchers_are_notified_when_everything_changed_after_their_results() {
        let live = LiveQueries::new(Arc::new(QueryCache::new(1 << 20)));
        let [older, newer] = [live.watcher(), live.watcher()];
        let key = |name: &str| CacheKey::new(name, &Object::new(), None, Visibility::Public);
        let before = live.watch(&key("a"), &result(4), at(4), &older);
        let after = live.watch(&key("b"), &result(6), at(6), &newer);
        live.everything_changed(at(6));
        older.changed.notified().await;
        assert!(before.is_set() && before.is_valid_at(at(5)) && !before.is_valid_at(at(6)));
        assert!(!after.is_set());

        // A result that was computed meanwhile is not valid either.
        let late = live.watch(&key("c"), &result(5), at(5), &older);
        assert!(!late.is_valid_at(at(6)));
    }
}
