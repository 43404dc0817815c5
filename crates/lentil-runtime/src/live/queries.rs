use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use lentil_store::conflict::{IntervalMap, RecentCommits};
use lentil_store::{Commit, CommitObserver, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::cache::{CacheKey, QueryResult, QueryCache};

/// Queries that run again at the same time; further ones wait in order, so that none starves another.
const RUNS_AT_ONCE: usize = 16;

/// When the first commit touched what an answer had read, if one has.
#[derive(Default)]
pub(crate) struct Mark(AtomicU64);

impl Mark {
    pub(crate) fn is_touched(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Returns whether the answer still holds at a published timestamp.
    pub(crate) fn holds_at(&self, timestamp: Timestamp) -> bool {
        let touched = self.0.load(Ordering::Acquire);
        touched == 0 || touched > timestamp.as_nanos()
    }
}

/// One who is woken when a query may have changed.
pub(crate) struct Watcher {
    number: u64,
    pub(crate) wake: Notify,
}

/// The queries that are watched, by what their answers have read.
pub(crate) struct LiveQueries {
    cache: Arc<QueryCache>,
    state: Mutex<State>,
    has_touched: Arc<Notify>,
    /// Where queries that run again wait for their place.
    pub(crate) permits: Semaphore,
}

#[derive(Default)]
struct State {
    live: HashMap<u64, Live>,
    by_key: HashMap<CacheKey, u64>,
    readers: IntervalMap,
    recent: RecentCommits,
    /// The watchers of the queries that commits have touched and nobody has woken yet.
    touched: Vec<Arc<Watchers>>,
    next: u64,
}

/// The watchers of one query, and how many times each watches it.
type Watchers = Mutex<HashMap<u64, (Arc<Watcher>, usize)>>;

struct Live {
    key: CacheKey,
    /// The answers whose reads are in the interval map, the oldest first: one, unless the query reads differently
    /// each time, as one does that asks for the time.
    runs: Vec<Arc<QueryResult>>,
    mark: Arc<Mark>,
    watchers: Arc<Watchers>,
}

impl Live {
    /// Marks the answers that a commit at `timestamp` has touched, and adds their watchers to `touched`.
    fn touch(&self, timestamp: Timestamp, touched: &mut Vec<Arc<Watchers>>) {
        // An answer may already include a commit that is only now notified. The watchers of a marked query have been
        // woken for it.
        let is_later = self.runs.iter().any(|run| run.timestamp < timestamp);
        if is_later && !self.mark.is_touched() {
            self.mark.0.store(timestamp.as_nanos(), Ordering::Release);
            touched.push(Arc::clone(&self.watchers));
        }
    }
}

impl LiveQueries {
    /// No queries; commits are told to `cache` first.
    pub(crate) fn new(cache: Arc<QueryCache>) -> Arc<LiveQueries> {
        let permits = Semaphore::new(RUNS_AT_ONCE);
        let has_touched = Arc::new(Notify::new());
        let live = LiveQueries {
            cache,
            state: Mutex::default(),
            has_touched: Arc::clone(&has_touched),
            permits,
        };
        let live = Arc::new(live);
        tokio::spawn(wake_watchers(Arc::downgrade(&live), has_touched));
        live
    }

    pub(crate) fn watcher(&self) -> Arc<Watcher> {
        let number = self.state.lock().number();
        Arc::new(Watcher {
            number,
            wake: Notify::new(),
        })
    }

    /// Keeps the commits after `timestamp` at hand until the pin is dropped.
    pub(crate) fn pin(self: &Arc<Self>, timestamp: Timestamp) -> Pin {
        self.state.lock().recent.pin(timestamp);
        Pin {
            live: Arc::clone(self),
            timestamp,
        }
    }

    /// Begins to watch a query that was answered `run`, known to hold at `since`, which is pinned.
    ///
    /// The mark is set already if a commit since then has touched the answer.
    pub(crate) fn watch(
        &self,
        key: &CacheKey,
        run: &Arc<QueryResult>,
        since: Timestamp,
        watcher: &Arc<Watcher>,
    ) -> Arc<Mark> {
        let mut state = self.state.lock();
        let touched = state
            .recent
            .first_invalidating(&run.read_set, run.timestamp.max(since));
        let number = match state.by_key.get(key) {
            Some(number) => *number,
            None => state.begin(key),
        };
        let live = &state.live[&number];
        live.watchers
            .lock()
            .entry(watcher.number)
            .or_insert_with(|| (Arc::clone(watcher), 0))
            .1 += 1;
        match touched {
            Some(touched) => Arc::new(Mark(AtomicU64::new(touched.as_nanos()))),
            None => state.keep(number, run),
        }
    }

    /// Ends one watch of a query; the last one's end forgets it.
    pub(crate) fn unwatch(&self, key: &CacheKey, watcher: &Watcher) {
        let mut state = self.state.lock();
        let Some(number) = state.by_key.get(key).copied() else {
            return;
        };
        let watchers = Arc::clone(&state.live[&number].watchers);
        let mut watchers = watchers.lock();
        if let Some((_, count)) = watchers.get_mut(&watcher.number) {
            *count -= 1;
            if *count == 0 {
                watchers.remove(&watcher.number);
            }
        }
        if watchers.is_empty() {
            state.end(number);
        }
    }

    /// How many queries are watched.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().live.len()
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn begin(&mut self, key: &CacheKey) -> u64 {
        let number = self.number();
        let live = Live {
            key: key.clone(),
            runs: Vec::new(),
            mark: Arc::default(),
            watchers: Arc::default(),
        };
        self.live.insert(number, live);
        self.by_key.insert(key.clone(), number);
        number
    }

    /// Follows an answer that holds; returns its mark, which it shares with others that hold.
    fn keep(&mut self, number: u64, run: &Arc<QueryResult>) -> Arc<Mark> {
        let live = self.live.get_mut(&number).expect("what has a key is live");
        if live.mark.is_touched() {
            live.runs
                .drain(..)
                .for_each(|old| self.readers.remove(&old.read_set, number));
            live.mark = Arc::default();
        }
        // An answer without holders need not be followed or kept.
        let readers = &mut self.readers;
        live.runs.retain(|old| {
            let is_held = Arc::strong_count(old) > 1;
            if !is_held {
                readers.remove(&old.read_set, number);
            }
            is_held
        });
        if !live
            .runs
            .iter()
            .any(|other| Arc::ptr_eq(other, run) || other.read_set == run.read_set)
        {
            self.readers.insert(&run.read_set, number);
            live.runs.push(Arc::clone(run));
        }
        Arc::clone(&live.mark)
    }

    fn end(&mut self, number: u64) {
        let Some(live) = self.live.remove(&number) else {
            return;
        };
        live.runs
            .iter()
            .for_each(|run| self.readers.remove(&run.read_set, number));
        self.by_key.remove(&live.key);
    }
}

impl CommitObserver for LiveQueries {
    fn committed(&self, commit: &Arc<Commit>) {
        self.cache.committed(commit);
        let mut state = self.state.lock();
        let state = &mut *state;
        if !state.readers.is_empty() {
            for entry in commit.entries() {
                state.readers.readers_of(entry, &mut |number| {
                    state.live[&number].touch(commit.timestamp, &mut state.touched);
                });
            }
        }
        state.recent.add(commit);
        if !state.touched.is_empty() {
            self.has_touched.notify_one();
        }
    }

    fn everything_changed(&self, timestamp: Timestamp) {
        self.cache.everything_changed(timestamp);
        let mut state = self.state.lock();
        let state = &mut *state;
        for live in state.live.values() {
            live.touch(timestamp, &mut state.touched);
        }
        state.recent.forget_all(timestamp);
        self.has_touched.notify_one();
    }
}

/// Wakes the watchers of what commits have touched, so that a commit need not wait for it.
async fn wake_watchers(live: Weak<LiveQueries>, has_touched: Arc<Notify>) {
    while let Some(strong) = live.upgrade() {
        let touched = std::mem::take(&mut strong.state.lock().touched);
        drop(strong);
        for watchers in touched {
            let woken: Vec<_> = watchers
                .lock()
                .values()
                .map(|(watcher, _)| Arc::clone(watcher))
                .collect();
            woken.iter().for_each(|watcher| watcher.wake.notify_one());
        }
        has_touched.notified().await;
    }
}

impl Drop for LiveQueries {
    fn drop(&mut self) {
        self.has_touched.notify_one();
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

    use lentil_values::{Object, Value};

    use super::*;
    use crate::memory::Charge;
    use crate::{ExecutionId, RequestId, Visibility};
    use lentil_store::conflict::ReadSet;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    /// A result that read nothing, at a snapshot.
    fn run(snapshot: u64) -> Arc<QueryResult> {
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
    async fn watchers_are_woken_when_everything_changed_after_their_results() {
        let live = LiveQueries::new(Arc::new(QueryCache::new(1 << 20)));
        let [older, newer] = [live.watcher(), live.watcher()];
        let key = |name: &str| CacheKey::new(name, &Object::new(), None, Visibility::Public);
        let before = live.watch(&key("a"), &run(4), at(4), &older);
        let after = live.watch(&key("b"), &run(6), at(6), &newer);
        live.everything_changed(at(6));
        older.wake.notified().await;
        assert!(before.is_touched() && before.holds_at(at(5)) && !before.holds_at(at(6)));
        assert!(!after.is_touched());

        // A result that was computed meanwhile does not hold either.
        let late = live.watch(&key("c"), &run(5), at(5), &older);
        assert!(!late.holds_at(at(6)));
    }
}
