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
//! timestamp, no earlier than the waiter did; a run that fails or is dropped is nobody's but its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lentil_store::{Commit, CommitObserver, Timestamp};
use lentil_values::{JsonForm, Object, Value};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::recent::RecentCommits;
use super::{IntervalMap, ReadSet};
use crate::Visibility;

/// How long an answer that has seen the time is reused.
const TIME_HOLDS_MS: f64 = 5_000.0;
/// What an entry takes beside its value, key and read set.
const OVERHEAD: usize = 512;

/// Which call an answer belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey {
    function: Arc<str>,
    args: Arc<str>,
    journal: Option<Arc<str>>,
    visibility: Visibility,
}

impl CacheKey {
    /// The key of a call: the function's canonical path, its arguments, and the journal of the run before.
    pub fn new(function: &str, args: &Object, journal: Option<&str>, visibility: Visibility) -> CacheKey {
        let args = args.to_json(JsonForm::Encoded).into();
        CacheKey { function: function.into(), args, journal: journal.map(Arc::from), visibility }
    }

    fn size(&self) -> usize {
        self.function.len() + self.args.len() + self.journal.as_ref().map_or(0, |journal| journal.len())
    }
}

/// A query's answer, and what it rests on.
#[derive(Debug)]
pub struct CachedRun {
    /// The result.
    pub value: Arc<Value>,
    /// What the query logged.
    pub log_lines: Vec<String>,
    /// What it read.
    pub read_set: ReadSet,
    /// The snapshot it read from.
    pub timestamp: Timestamp,
    /// The end of the page it read, if it paginated.
    pub journal: Option<String>,
}

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

/// The query cache, bounded in bytes; the least recently used answers make room.
pub struct QueryCache {
    state: Mutex<State>,
    max_bytes: usize,
}

#[derive(Default)]
struct State {
    entries: HashMap<u64, Entry>,
    by_key: HashMap<CacheKey, u64>,
    readers: IntervalMap,
    /// Entries by when they were last used.
    by_use: BTreeMap<u64, u64>,
    recent: RecentCommits,
    running: HashMap<CacheKey, Running>,
    next: u64,
    stats: CacheStats,
}

struct Entry {
    key: CacheKey,
    run: Arc<CachedRun>,
    size: usize,
    used: u64,
    holds_until_ms: f64,
}

struct Running {
    number: u64,
    since: Timestamp,
    outcome: watch::Receiver<Option<Arc<CachedRun>>>,
}

enum Found {
    Hit(Arc<CachedRun>),
    Wait(watch::Receiver<Option<Arc<CachedRun>>>),
    Run(u64, watch::Sender<Option<Arc<CachedRun>>>),
}

impl QueryCache {
    /// An empty cache that holds about this many bytes at most.
    pub fn new(max_bytes: usize) -> QueryCache {
        QueryCache { state: Mutex::default(), max_bytes }
    }

    /// The answer to a call: one that holds, one that is being computed, or a new one from `run`.
    ///
    /// `since` is the published timestamp when the call began: the answer includes every commit up to it.
    ///
    /// # Errors
    /// Those of `run`; they are not kept.
    pub async fn get_or_run<E>(
        &self,
        key: CacheKey,
        since: Timestamp,
        now_ms: f64,
        run: impl Future<Output = Result<CachedRun, E>>,
    ) -> Result<Arc<CachedRun>, E> {
        let (number, outcome) = loop {
            let found = self.state.lock().find(&key, since, now_ms);
            match found {
                Found::Hit(run) => return Ok(run),
                Found::Run(number, outcome) => break (number, outcome),
                Found::Wait(mut outcome) => {
                    // An error here is a runner that failed or is gone: look again, and run.
                    if outcome.changed().await.is_ok()
                        && let Some(run) = outcome.borrow().clone()
                    {
                        return Ok(run);
                    }
                }
            }
        };
        let _running = RemovesRunning { cache: self, key: &key, number };
        let run = Arc::new(run.await?);
        self.state.lock().insert(&key, number, &run, now_ms, self.max_bytes);
        outcome.send_replace(Some(Arc::clone(&run)));
        Ok(run)
    }

    /// What it has done so far, and what it holds.
    pub fn stats(&self) -> CacheStats {
        let state = self.state.lock();
        CacheStats { entries: state.entries.len(), ..state.stats }
    }
}

impl CommitObserver for QueryCache {
    fn committed(&self, commit: &Commit) {
        let mut state = self.state.lock();
        let mut touched = Vec::new();
        if !state.readers.is_empty() {
            for (index, key) in &commit.keys {
                state.readers.readers_of(*index, key.as_bytes(), &mut |number| touched.push(number));
            }
        }
        for number in touched {
            // An answer may already include a commit that is only now told.
            if state.entries.get(&number).is_some_and(|entry| entry.run.timestamp < commit.timestamp) {
                state.remove(number);
                state.stats.invalidations += 1;
            }
        }
        state.recent.add(commit.clone());
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
        if state.running.get(self.key).is_some_and(|running| running.number == self.number) {
            state.running.remove(self.key);
        }
    }
}

impl State {
    fn find(&mut self, key: &CacheKey, since: Timestamp, now_ms: f64) -> Found {
        if let Some(number) = self.by_key.get(key).copied() {
            if let Some(run) = self.use_entry(number, now_ms) {
                self.stats.hits += 1;
                return Found::Hit(run);
            }
            self.remove(number);
        }
        if let Some(running) = self.running.get(key).filter(|running| running.since >= since) {
            self.stats.joins += 1;
            return Found::Wait(running.outcome.clone());
        }
        self.stats.misses += 1;
        let number = self.number();
        let (sender, outcome) = watch::channel(None);
        self.running.insert(key.clone(), Running { number, since, outcome });
        Found::Run(number, sender)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn use_entry(&mut self, number: u64, now_ms: f64) -> Option<Arc<CachedRun>> {
        let tick = self.number();
        let entry = self.entries.get_mut(&number).filter(|entry| now_ms < entry.holds_until_ms)?;
        self.by_use.remove(&entry.used);
        entry.used = tick;
        self.by_use.insert(tick, number);
        Some(Arc::clone(&entry.run))
    }

    fn insert(&mut self, key: &CacheKey, number: u64, run: &Arc<CachedRun>, now_ms: f64, max_bytes: usize) {
        let size = OVERHEAD
            + 2 * key.size()
            + run.value.size()
            + 2 * run.read_set.size()
            + run.log_lines.iter().map(String::len).sum::<usize>();
        if size > max_bytes / 4 || !self.recent.leave_untouched(&run.read_set, run.timestamp) {
            return;
        }
        if let Some(before) = self.by_key.get(key).copied() {
            if self.entries[&before].run.timestamp > run.timestamp {
                return;
            }
            self.remove(before);
        }
        let holds_until_ms = if run.read_set.reads_time() { now_ms + TIME_HOLDS_MS } else { f64::INFINITY };
        let used = self.number();
        self.readers.insert(&run.read_set, number);
        self.by_key.insert(key.clone(), number);
        self.by_use.insert(used, number);
        self.entries.insert(number, Entry { key: key.clone(), run: Arc::clone(run), size, used, holds_until_ms });
        self.stats.bytes += size;
        while self.stats.bytes > max_bytes
            && let Some((_, oldest)) = self.by_use.first_key_value()
        {
            self.remove(*oldest);
            self.stats.evictions += 1;
        }
    }

    fn remove(&mut self, number: u64) {
        let Some(entry) = self.entries.remove(&number) else { return };
        self.readers.remove(&entry.run.read_set, number);
        self.by_key.remove(&entry.key);
        self.by_use.remove(&entry.used);
        self.stats.bytes -= entry.size;
    }
}
