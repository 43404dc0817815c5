//! Answers of queries, kept while nothing they read has changed.
//!
//! Why a cached answer is never stale. A commit is told to the cache (it is the store's observer) *before* the
//! commit is published and acknowledged. The cache then drops each answer whose read set the commit touches, and
//! remembers the commit for a while. An answer computed from a snapshot is put into the cache only if no remembered
//! commit after the snapshot touches it, and both happen under one lock:
//!
//! ```text
//! reader   snapshot S ......... computes ......... inserts: is a commit after S in the way? → not kept
//! commit          C > S durable · told to the cache · published · acknowledged
//! ```
//!
//! So whoever starts after `C` was acknowledged finds no answer that `C` touched. Whoever gets an answer waits until
//! the answer's snapshot is published before showing it, so that nobody sees the new and then the old.
//!
//! Misses of the same call are one run. A waiter takes over only an answer of a run that began, by the published
//! timestamp, no earlier than the waiter did; a run that is dropped is nobody's but its own. A function's error is
//! an answer to those who wait for the run, and is not kept.
//!
//! An answer is shared by all users until a run has asked who its user is; from then on the function's calls are
//! told apart by user.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap};
use lentil_store::conflict::RecentCommits;
use lentil_store::{Commit, CommitObserver, Store, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use super::asked_before::AskedBefore;
use super::entries::{Entries, Entry};
use super::{CacheKey, CachedRun};

/// How long an answer that has seen the time is reused.
const TIME_HOLDS_MS: f64 = 5_000.0;
/// What an entry takes beside its value, key and read set.
const OVERHEAD: usize = 1_024;
const END_OF_TIME: Timestamp = Timestamp::from_nanos(u64::MAX);

/// What the cache has done so far, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Answers found.
    pub hits: u64,
    /// Answers computed.
    pub misses: u64,
    /// Answers that another's run gave.
    pub joins: u64,
    /// Answers dropped because a commit touched them.
    pub invalidations: u64,
    /// Answers dropped to make room.
    pub evictions: u64,
    /// Answers held.
    pub entries: usize,
    /// Bytes held, about.
    pub bytes: usize,
}

/// The query cache, bounded in bytes; answers that were not used of late make room.
pub struct QueryCache {
    state: Mutex<State>,
    /// Quick, and of its own for each cache, so that nobody knows which calls it puts in one place.
    hasher: DefaultHashBuilder,
    max_bytes: usize,
}

#[derive(Default)]
struct State {
    entries: Entries,
    recent: RecentCommits,
    running: HashMap<CacheKey, Running>,
    asked: AskedBefore,
    /// The functions that have asked for their user.
    ask_user: HashSet<Arc<str>>,
    /// How many runs there have been.
    runs: u64,
    stats: CacheStats,
}

struct Running {
    number: u64,
    user: Arc<str>,
    /// The run includes all commits up to here. It waits to begin while that is the end of time.
    since: Timestamp,
    waiting: Waiting,
}

/// Those who wait for a run. They get its answer even when another run of the same call has taken its place since.
type Waiting = Arc<Mutex<Vec<oneshot::Sender<Arc<CachedRun>>>>>;

enum Found {
    Hit(Arc<CachedRun>),
    Wait {
        is_same_user: bool,
        outcome: oneshot::Receiver<Arc<CachedRun>>,
    },
    Run {
        number: u64,
        key: CacheKey,
        waiting: Waiting,
    },
}

/// A question to the cache.
pub struct Lookup<'a> {
    /// The call.
    pub key: CacheKey,
    /// Who calls: equal for the same user and different for others.
    pub user: Arc<str>,
    /// The published timestamp when the call began: the answer includes every commit up to it.
    pub since: Timestamp,
    /// The time now, in milliseconds.
    pub now_ms: f64,
    /// Bounds how many runs there are at once; those that wait for the same run wait for one place.
    pub gate: Option<Gate<'a>>,
}

/// Where runs wait for their place.
#[derive(Clone, Copy)]
pub struct Gate<'a> {
    /// The places.
    pub places: &'a Semaphore,
    /// What the runs will read.
    pub store: &'a dyn Store,
}

impl QueryCache {
    /// An empty cache that holds about this many bytes at most.
    pub fn new(max_bytes: usize) -> QueryCache {
        QueryCache {
            state: Mutex::default(),
            hasher: DefaultHashBuilder::default(),
            max_bytes,
        }
    }

    /// The answer to a call, if there is one that holds.
    pub fn get(&self, lookup: &Lookup<'_>) -> Option<Arc<CachedRun>> {
        let hash = self.hasher.hash_one(&lookup.key);
        self.state.lock().held_for(lookup, hash)
    }

    /// The answer to a call: one that holds, one that is being computed, or a new one from `run`.
    ///
    /// # Errors
    /// Those of `run`, which are the server's: a function's own error is an answer.
    pub async fn get_or_run<E>(
        &self,
        lookup: Lookup<'_>,
        run: impl Future<Output = Result<CachedRun, E>>,
    ) -> Result<Arc<CachedRun>, E> {
        let hash = self.hasher.hash_one(&lookup.key);
        let (number, key, waiting) = loop {
            let found = self.state.lock().find(&lookup, hash);
            match found {
                Found::Hit(run) => return Ok(run),
                Found::Run {
                    number,
                    key,
                    waiting,
                } => break (number, key, waiting),
                Found::Wait {
                    is_same_user,
                    outcome,
                } => {
                    // An error here is a runner that failed or is gone: look again, and run.
                    if let Ok(run) = outcome.await
                        && (is_same_user || !run.read_set.reads_identity())
                    {
                        return Ok(run);
                    }
                }
            }
        };
        let running = RemovesRunning {
            cache: self,
            key: &key,
            number,
        };
        let _place = match &lookup.gate {
            Some(gate) => {
                let place = gate.places.acquire().await;
                self.state
                    .lock()
                    .begins(&key, number, gate.store.published());
                place.ok()
            }
            None => None,
        };
        let run = Arc::new(run.await?);
        self.state
            .lock()
            .insert(&lookup, hash, &run, self.max_bytes);
        // Nobody comes to wait for it from now on.
        drop(running);
        waiting
            .lock()
            .drain(..)
            .for_each(|waiting| drop(waiting.send(Arc::clone(&run))));
        Ok(run)
    }

    /// Drops about this many bytes of answers, or all of them if there are fewer.
    pub(crate) fn shed(&self, bytes: usize) {
        let mut state = self.state.lock();
        let goal = state.entries.bytes().saturating_sub(bytes);
        while state.entries.bytes() > goal {
            state.entries.evict();
            state.stats.evictions += 1;
        }
    }

    /// Returns whether an answer that holds now held at `earlier` too: no commit since then has touched it.
    ///
    /// Every commit up to the answer's timestamp must be published, and so be known here.
    pub fn held_at(&self, run: &CachedRun, earlier: Timestamp) -> bool {
        let state = self.state.lock();
        let first = state.recent.first_invalidating(&run.read_set, earlier);
        first.is_none_or(|first| first > run.timestamp)
    }

    /// What it has done so far, and what it holds.
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
        for slot in state.entries.touched_by(commit) {
            // An answer may already include a commit that is only now told.
            if state
                .entries
                .get(slot)
                .is_some_and(|entry| entry.run.timestamp < commit.timestamp)
            {
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

/// Takes a run off the list when it ends, however it ends; those who waited for it then find its answer or run.
struct RemovesRunning<'c> {
    cache: &'c QueryCache,
    key: &'c CacheKey,
    number: u64,
}

impl Drop for RemovesRunning<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.state.lock();
        if state
            .running
            .get(self.key)
            .is_some_and(|running| running.number == self.number)
        {
            state.running.remove(self.key);
        }
    }
}

impl State {
    /// What is to be done about a call, the hash of whose key is `hash`.
    fn find(&mut self, lookup: &Lookup<'_>, hash: u64) -> Found {
        if let Some(run) = self.held_for(lookup, hash) {
            return Found::Hit(run);
        }
        let key = self.own_key(lookup).unwrap_or_else(|| lookup.key.clone());
        if let Some(running) = self
            .running
            .get_mut(&key)
            .filter(|running| running.since >= lookup.since)
        {
            self.stats.joins += 1;
            let (waiting, outcome) = oneshot::channel();
            running.waiting.lock().push(waiting);
            return Found::Wait {
                is_same_user: running.user == lookup.user,
                outcome,
            };
        }
        self.stats.misses += 1;
        self.runs += 1;
        let number = self.runs;
        let since = if lookup.gate.is_some() {
            END_OF_TIME
        } else {
            lookup.since
        };
        let user = Arc::clone(&lookup.user);
        let waiting = Waiting::default();
        self.running.insert(
            key.clone(),
            Running {
                number,
                user,
                since,
                waiting: Arc::clone(&waiting),
            },
        );
        Found::Run {
            number,
            key,
            waiting,
        }
    }

    /// A run that had to wait for its place begins now.
    fn begins(&mut self, key: &CacheKey, number: u64, published: Timestamp) {
        if let Some(running) = self
            .running
            .get_mut(key)
            .filter(|running| running.number == number)
        {
            running.since = published;
        }
    }

    /// The answer to a call, if there is one that holds.
    fn held_for(&mut self, lookup: &Lookup<'_>, hash: u64) -> Option<Arc<CachedRun>> {
        let of_all = self.held(&lookup.key, hash, lookup.now_ms);
        let run = of_all.or_else(|| self.held(&self.own_key(lookup)?, hash, lookup.now_ms))?;
        self.stats.hits += 1;
        Some(run)
    }

    /// The key of the user's own answer, where the function has asked for its user.
    fn own_key(&self, lookup: &Lookup<'_>) -> Option<CacheKey> {
        self.ask_user
            .contains(&lookup.key.function)
            .then(|| lookup.key.for_user(&lookup.user))
    }

    /// The answer that stands under a key, if it holds still.
    fn held(&mut self, key: &CacheKey, hash: u64, now_ms: f64) -> Option<Arc<CachedRun>> {
        let slot = self.entries.find(hash, key)?;
        let entry = self.entries.get_mut(slot)?;
        if entry.holds_ms.contains(&now_ms) {
            entry.was_used = true;
            return Some(Arc::clone(&entry.run));
        }
        self.entries.remove(slot);
        None
    }

    fn insert(&mut self, lookup: &Lookup<'_>, hash: u64, run: &Arc<CachedRun>, max_bytes: usize) {
        if run.read_set.reads_identity() {
            self.ask_user.insert(Arc::clone(&lookup.key.function));
        }
        // A later call has the journal that this one had, not the one it has made.
        let key = lookup.key.of_answer(run, &lookup.user);
        let Ok(value) = &run.result else { return };
        // The value may be asked for as JSON too.
        let size = OVERHEAD + 2 * key.size() + run.charge.bytes() + value.size();
        if size > max_bytes / 4 || !self.recent.leave_valid(&run.read_set, run.timestamp) {
            return;
        }
        match self.entries.find(hash, &key) {
            Some(slot)
                if self
                    .entries
                    .get(slot)
                    .is_some_and(|entry| entry.run.timestamp > run.timestamp) =>
            {
                return;
            }
            Some(slot) => self.entries.remove(slot),
            None if self.entries.bytes() + size > max_bytes && !self.asked.again(hash) => return,
            None => {}
        }
        while self.entries.bytes() + size > max_bytes {
            self.entries.evict();
            self.stats.evictions += 1;
        }
        let reads_time = run.read_set.reads_time();
        // A clock that is set back far must not extend the life of an answer by as much.
        let holds_ms = if reads_time {
            lookup.now_ms - TIME_HOLDS_MS..lookup.now_ms + TIME_HOLDS_MS
        } else {
            f64::NEG_INFINITY..f64::INFINITY
        };
        let run = Arc::clone(run);
        self.entries.insert(Entry {
            key,
            hash,
            run,
            size,
            holds_ms,
            was_used: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::OnceLock;
    use std::task::Poll;

    use lentil_store::{IndexId, IndexRef};
    use lentil_values::{IndexKey, Interval, Object, TableNumber, Value};
    use tokio::sync::oneshot;

    use super::*;
    use crate::memory::Memory;
    use crate::{ExecutionId, RequestId, Visibility};
    use lentil_store::conflict::ReadSet;

    const INDEX: IndexRef = IndexRef::Declared(TableNumber::FIRST_USER, IndexId(1));

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    fn key(name: &str) -> CacheKey {
        CacheKey::new(name, &Object::new(), None, Visibility::Public)
    }

    fn lookup(key: CacheKey, since: u64) -> Lookup<'static> {
        Lookup {
            key,
            user: "".into(),
            since: at(since),
            now_ms: 0.0,
            gate: None,
        }
    }

    fn number(run: &CachedRun) -> f64 {
        run.result.as_ref().unwrap().as_f64().unwrap()
    }

    /// An answer computed at a snapshot, from the keys that begin with `read`.
    fn answer(value: f64, snapshot: u64, read: &[u8]) -> CachedRun {
        let mut read_set = ReadSet::default();
        read_set.add(INDEX, Interval::prefix(read));
        let result = Ok(Arc::new(Value::Float64(value)));
        charged(CachedRun {
            result,
            log_lines: Vec::new(),
            read_set,
            timestamp: at(snapshot),
            journal: None,
            json: OnceLock::new(),
            charge: Memory::default().charge(0),
            request_id: RequestId::made(0),
            execution: ExecutionId::default(),
        })
    }

    fn charged(mut run: CachedRun) -> CachedRun {
        run.charge.set(run.heap_size());
        run
    }

    fn commit(cache: &QueryCache, nanos: u64, written: &[u8]) {
        let keys = vec![(INDEX, IndexKey::from_bytes(written.to_vec()))];
        cache.committed(&Arc::new(Commit {
            timestamp: at(nanos),
            keys,
        }));
    }

    /// What the cache answers at `since`, computing `fresh` if it has to.
    async fn ask(cache: &QueryCache, name: &str, since: u64, fresh: CachedRun) -> f64 {
        let run = cache
            .get_or_run(lookup(key(name), since), async { Ok::<_, ()>(fresh) })
            .await
            .unwrap();
        number(&run)
    }

    #[tokio::test]
    async fn a_commit_drops_what_it_touches_and_nothing_else() {
        let cache = QueryCache::new(1 << 20);
        ask(&cache, "a", 1, answer(1.0, 1, b"a")).await;
        ask(&cache, "b", 1, answer(2.0, 1, b"b")).await;
        commit(&cache, 2, b"ax");
        assert_eq!(ask(&cache, "a", 2, answer(10.0, 2, b"a")).await, 10.0);
        assert_eq!(ask(&cache, "b", 2, answer(20.0, 2, b"b")).await, 2.0);
        assert_eq!(cache.stats().invalidations, 1);
    }

    #[tokio::test]
    async fn an_answer_overtaken_by_a_commit_is_given_and_not_kept() {
        let cache = QueryCache::new(1 << 20);
        let overtaken = async {
            commit(&cache, 5, b"a");
            Ok::<_, ()>(answer(1.0, 4, b"a"))
        };
        let run = cache
            .get_or_run(lookup(key("a"), 4), overtaken)
            .await
            .unwrap();
        assert_eq!(number(&run), 1.0);
        assert_eq!(ask(&cache, "a", 5, answer(2.0, 5, b"a")).await, 2.0);
    }

    #[tokio::test]
    async fn an_answer_that_includes_a_commit_outlives_the_news_of_it() {
        let cache = QueryCache::new(1 << 20);
        ask(&cache, "a", 4, answer(1.0, 5, b"a")).await;
        commit(&cache, 5, b"a");
        assert_eq!(ask(&cache, "a", 5, answer(2.0, 5, b"a")).await, 1.0);
    }

    #[tokio::test]
    async fn nothing_read_before_everything_changed_is_given_or_kept() {
        let cache = QueryCache::new(1 << 20);
        ask(&cache, "old", 4, answer(1.0, 4, b"a")).await;
        ask(&cache, "new", 6, answer(2.0, 6, b"a")).await;
        let overtaken = async {
            cache.everything_changed(at(6));
            Ok::<_, ()>(answer(3.0, 5, b"z"))
        };
        let run = cache
            .get_or_run(lookup(key("overtaken"), 5), overtaken)
            .await
            .unwrap();
        assert_eq!(number(&run), 3.0);
        assert_eq!(ask(&cache, "old", 6, answer(10.0, 6, b"a")).await, 10.0);
        assert_eq!(ask(&cache, "new", 6, answer(20.0, 6, b"a")).await, 2.0);
        let again = answer(30.0, 6, b"z");
        assert_eq!(ask(&cache, "overtaken", 6, again).await, 30.0);
    }

    #[tokio::test]
    async fn an_answer_older_than_the_remembered_commits_is_not_kept() {
        let cache = QueryCache::new(1 << 20);
        (10..10_000).for_each(|nanos| commit(&cache, nanos, b"z"));
        ask(&cache, "a", 9, answer(1.0, 9, b"a")).await;
        assert_eq!(cache.stats().entries, 0);
    }

    /// Asks twice at once, the second at `since`, while the first is still computing; what both were answered.
    async fn ask_twice(cache: &QueryCache, since: u64) -> (f64, f64) {
        let (finish, finished) = oneshot::channel();
        let slow = async {
            finished.await.map_err(drop)?;
            Ok::<_, ()>(answer(1.0, 5, b"a"))
        };
        let mut first = pin!(cache.get_or_run(lookup(key("a"), 5), slow));
        assert!(poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
        let mut second = pin!(cache.get_or_run(lookup(key("a"), since), async {
            Ok::<_, ()>(answer(2.0, since, b"a"))
        }));
        let mut early = poll_fn(|cx| match second.as_mut().poll(cx) {
            Poll::Ready(run) => Poll::Ready(Some(run)),
            Poll::Pending => Poll::Ready(None),
        })
        .await;
        finish.send(()).unwrap();
        let first = first.await.unwrap();
        let second = match early.take() {
            Some(run) => run.unwrap(),
            None => second.await.unwrap(),
        };
        (number(&first), number(&second))
    }

    #[tokio::test]
    async fn misses_of_one_call_are_one_run() {
        let cache = QueryCache::new(1 << 20);
        assert_eq!(ask_twice(&cache, 5).await, (1.0, 1.0));
        assert_eq!((cache.stats().misses, cache.stats().joins), (1, 1));
    }

    #[tokio::test]
    async fn one_who_came_after_a_later_commit_does_not_join_an_older_run() {
        let cache = QueryCache::new(1 << 20);
        assert_eq!(ask_twice(&cache, 6).await, (1.0, 2.0));
    }

    #[tokio::test]
    async fn one_who_waits_is_not_put_off_by_runs_that_begin_later() {
        let cache = QueryCache::new(1 << 20);
        let (finish, finished) = oneshot::channel();
        let slow = async {
            finished.await.map_err(drop)?;
            Ok::<_, ()>(answer(1.0, 5, b"a"))
        };
        let mut first = pin!(cache.get_or_run(lookup(key("a"), 5), slow));
        let never = async { Err::<CachedRun, ()>(()) };
        let mut second = pin!(cache.get_or_run(lookup(key("a"), 5), never));
        let pending = poll_fn(|cx| {
            Poll::Ready(
                first.as_mut().poll(cx).is_pending() && second.as_mut().poll(cx).is_pending(),
            )
        });
        assert!(pending.await);
        let mut third = pin!(cache.get_or_run(
            lookup(key("a"), 6),
            std::future::pending::<Result<CachedRun, ()>>()
        ));
        assert!(poll_fn(|cx| Poll::Ready(third.as_mut().poll(cx).is_pending())).await);
        finish.send(()).unwrap();
        assert_eq!(
            (
                number(&first.await.unwrap()),
                number(&second.await.unwrap())
            ),
            (1.0, 1.0)
        );
    }

    #[tokio::test]
    async fn when_a_run_fails_or_is_dropped_the_next_one_runs() {
        let cache = QueryCache::new(1 << 20);
        let failed = cache
            .get_or_run(lookup(key("a"), 1), async { Err::<CachedRun, _>("no") })
            .await;
        assert_eq!(failed.unwrap_err(), "no");
        let mut dropped = Box::pin(
            cache.get_or_run(lookup(key("a"), 1), std::future::pending::<Result<_, ()>>()),
        );
        assert!(poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await);
        let mut waiting = pin!(ask(&cache, "a", 1, answer(3.0, 1, b"a")));
        assert!(poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
        drop(dropped);
        assert_eq!(waiting.await, 3.0);
    }

    #[tokio::test]
    async fn what_was_not_used_of_late_makes_room() {
        let cache = QueryCache::new(8_000);
        for name in ["a", "b", "c", "d", "e", "f"] {
            ask(&cache, name, 1, answer(1.0, 1, b"x")).await;
            ask(&cache, "a", 1, answer(9.0, 1, b"x")).await;
        }
        let held = cache.stats();
        assert!(held.bytes <= 8_000 && held.entries >= 2, "{held:?}");
        for name in 0..100 {
            // What is asked for once would not make anything go.
            for _ in 0..2 {
                ask(&cache, &name.to_string(), 1, answer(1.0, 1, b"x")).await;
            }
            assert_eq!(
                ask(&cache, "a", 1, answer(9.0, 1, b"x")).await,
                1.0,
                "what is used stays"
            );
        }
        assert!(cache.stats().bytes <= 8_000 && cache.stats().evictions > 0);
        let large = charged(CachedRun {
            log_lines: vec!["x".repeat(8_000)],
            ..answer(1.0, 1, b"x")
        });
        ask(&cache, "large", 1, large).await;
        assert_eq!(
            ask(&cache, "large", 1, answer(2.0, 1, b"x")).await,
            2.0,
            "what is too large is not kept"
        );
    }

    #[tokio::test]
    async fn what_is_asked_for_once_displaces_nothing() {
        let cache = QueryCache::new(8_000);
        for name in 0..100 {
            ask(&cache, &name.to_string(), 1, answer(1.0, 1, b"x")).await;
        }
        let held = cache.stats();
        assert!(
            held.evictions == 0 && (2..100).contains(&held.entries),
            "{held:?}"
        );
        assert_eq!(
            ask(&cache, "0", 1, answer(2.0, 1, b"x")).await,
            1.0,
            "the first are still there"
        );
        assert_eq!(
            ask(&cache, "99", 1, answer(2.0, 1, b"x")).await,
            2.0,
            "what found no room is computed again"
        );
        assert_eq!(
            ask(&cache, "99", 1, answer(3.0, 1, b"x")).await,
            2.0,
            "and then kept"
        );
        assert_eq!(cache.stats().evictions, 1);
    }

    #[tokio::test]
    async fn a_call_is_its_function_arguments_journal_and_visibility() {
        let cache = QueryCache::new(1 << 20);
        let args = |text: &str| Object::from([("a", text)]);
        let keys = [
            CacheKey::new("f", &args("1"), None, Visibility::Public),
            CacheKey::new("g", &args("1"), None, Visibility::Public),
            CacheKey::new("f", &args("2"), None, Visibility::Public),
            CacheKey::new("f", &args("1"), Some("j"), Visibility::Public),
            CacheKey::new("f", &args("1"), None, Visibility::Internal),
        ];
        for (at_ms, key) in keys.iter().enumerate() {
            let fresh = answer(at_ms as f64, 1, b"a");
            let run = cache
                .get_or_run(lookup(key.clone(), 1), async { Ok::<_, ()>(fresh) })
                .await
                .unwrap();
            assert_eq!(number(&run), at_ms as f64);
        }
    }

    #[tokio::test]
    async fn an_answer_is_shared_by_all_users_until_a_run_asks_for_its_user() {
        let cache = QueryCache::new(1 << 20);
        let ask = async |user: &str, value: f64, asks: bool| {
            let mut fresh = answer(value, if asks { 2 } else { 1 }, b"a");
            if asks {
                fresh.read_set.note_identity();
            }
            let lookup = Lookup {
                user: user.into(),
                ..lookup(key("f"), 1)
            };
            number(
                &cache
                    .get_or_run(lookup, async { Ok::<_, ()>(fresh) })
                    .await
                    .unwrap(),
            )
        };
        assert_eq!(ask("ada", 1.0, false).await, 1.0);
        assert_eq!(
            ask("bob", 2.0, false).await,
            1.0,
            "nobody has asked: one answer for all"
        );
        commit(&cache, 2, b"a");
        assert_eq!(ask("ada", 3.0, true).await, 3.0);
        assert_eq!(ask("bob", 4.0, true).await, 4.0, "now each has their own");
        assert_eq!(ask("ada", 5.0, true).await, 3.0);
    }

    #[tokio::test]
    async fn one_who_waits_does_not_take_the_answer_made_for_another_user() {
        let cache = QueryCache::new(1 << 20);
        let (go, wait) = oneshot::channel::<()>();
        let mut personal = answer(1.0, 1, b"a");
        personal.read_set.note_identity();
        let slow = async {
            wait.await.unwrap();
            Ok::<_, ()>(personal)
        };
        let of = |user: &str| Lookup {
            user: user.into(),
            ..lookup(key("f"), 1)
        };
        let mut first = pin!(cache.get_or_run(of("ada"), slow));
        assert!(poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
        let mut second =
            pin!(cache.get_or_run(of("bob"), async { Ok::<_, ()>(answer(2.0, 1, b"a")) }));
        assert!(poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_pending())).await);
        go.send(()).unwrap();
        assert_eq!(number(&first.await.unwrap()), 1.0);
        assert_eq!(number(&second.await.unwrap()), 2.0);
    }
}
