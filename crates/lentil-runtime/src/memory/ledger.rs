use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// The longest time that new work waits for room before it begins.
pub(super) const ROOM_TIMEOUT: Duration = Duration::from_secs(2);
/// Time of slow reading after which the heaviest clients above their share are evicted.
pub(super) const NEAR_TIMEOUT: Duration = Duration::from_millis(500);
/// Time that evicted clients get to give their memory back before the next check.
pub(super) const RELIEF_INTERVAL: Duration = Duration::from_millis(10);

/// Bytes that every client may hold without slow reading, for any number of clients.
pub(super) const MIN_SHARE: usize = 256 << 10;

/// The limits of the memory that the server holds for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Bytes for all clients together, shared results included.
    pub process: usize,
    /// Bytes for one client.
    pub client: usize,
}

impl Default for MemoryLimits {
    fn default() -> MemoryLimits {
        MemoryLimits {
            process: 256 << 20,
            client: 128 << 20,
        }
    }
}

/// The gauges and counters of the memory budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Bytes charged, by clients and for shared results.
    pub used: usize,
    /// The maximum of `used` so far.
    pub peak: usize,
    /// Open accounts.
    pub clients: usize,
    /// Clients evicted because the process was over its limit.
    pub evictions: u64,
    /// Charges refused because a client would have been over its limit.
    pub refusals: u64,
}

/// The used part of the process's budget, as a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    #[default]
    Calm,
    Near,
    Over,
}

/// The sum of all charges, and the clients that hold them. A clone is another handle to the same
/// ledger.
#[derive(Clone)]
pub struct Memory(pub(super) Arc<Ledger>);

pub(super) struct Ledger {
    limits: MemoryLimits,
    // Relaxed: each counter is independent. The lock of `level` orders the changes that tasks wait
    // for.
    used: AtomicUsize,
    peak: AtomicUsize,
    evictions: AtomicU64,
    pub(super) refusals: AtomicU64,
    pub(super) clients: Mutex<Clients>,
    /// The number of open accounts.
    pub(super) open: AtomicUsize,
    pub(super) level: watch::Sender<Level>,
}

#[derive(Default)]
pub(super) struct Clients {
    pub(super) by_number: HashMap<u64, Weak<Client>>,
    pub(super) last_number: u64,
}

impl Memory {
    /// Returns a ledger without charges.
    pub fn new(limits: MemoryLimits) -> Memory {
        Memory(Arc::new(Ledger {
            limits,
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            evictions: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            clients: Mutex::default(),
            open: AtomicUsize::new(0),
            level: watch::Sender::new(Level::Calm),
        }))
    }

    /// Returns the limits.
    pub fn limits(&self) -> MemoryLimits {
        self.0.limits
    }

    /// Returns when the process is within its limit, or after two seconds: the memory may be held
    /// by work that waits for this.
    pub async fn room(&self) {
        if !self.is_over() {
            return;
        }
        let mut level = self.0.level.subscribe();
        let room = level.wait_for(|level| *level < Level::Over);
        let _ = tokio::time::timeout(ROOM_TIMEOUT, room).await;
    }

    /// Keeps the process within its limit while it is polled. Calls `shed` with the bytes to drop
    /// from caches, then evicts the clients that hold the most.
    pub async fn relieve(&self, shed: impl Fn(usize)) {
        let mut level = self.0.level.subscribe();
        loop {
            // The ledger holds the sender, so that waiting never fails.
            let _ = level.wait_for(|level| *level > Level::Calm).await;
            if self.is_over() {
                shed(self.excess());
                self.evict_heaviest();
                tokio::time::sleep(RELIEF_INTERVAL).await;
                continue;
            }
            let changed = level.wait_for(|level| *level != Level::Near);
            if tokio::time::timeout(NEAR_TIMEOUT, changed).await.is_err() {
                self.evict_paused();
            }
        }
    }

    /// Returns the memory that is used now, and the effects of the limits so far.
    pub fn stats(&self) -> MemoryStats {
        let Ledger { used, peak, .. } = &*self.0;
        MemoryStats {
            used: used.load(Ordering::Relaxed),
            peak: peak.load(Ordering::Relaxed),
            clients: self.0.open.load(Ordering::Relaxed),
            evictions: self.0.evictions.load(Ordering::Relaxed),
            refusals: self.0.refusals.load(Ordering::Relaxed),
        }
    }

    fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    fn excess(&self) -> usize {
        self.used().saturating_sub(self.0.limits.process)
    }

    fn is_over(&self) -> bool {
        self.excess() > 0
    }

    /// Returns the bytes above which the server reads slowly from clients above their fair share.
    pub(super) fn near(&self) -> usize {
        self.0.limits.process / 8 * 7
    }

    pub(super) fn is_near(&self) -> bool {
        self.used() > self.near()
    }

    /// Evicts clients that are read from slowly, the heaviest first, until a quarter of the limit
    /// is free.
    fn evict_paused(&self) {
        // Below the threshold of slow reading, so that it does not begin again at once.
        let goal = self.0.limits.process / 4 * 3;
        self.evict_from(Client::is_paused, goal);
    }

    /// Evicts clients, the heaviest first, until the memory of the others is within the limit.
    fn evict_heaviest(&self) {
        self.evict_from(
            |client| client.weight() > self.min_evicted(),
            self.0.limits.process,
        );
    }

    /// Evicts the clients that hold the most, so that `bytes` fit, but not the client of this
    /// number.
    pub(super) fn evict_for(&self, bytes: usize, number: u64) {
        let is_large = |client: &Client| client.weight() > self.min_evicted();
        let may_go = |client: &Client| client.number != number && is_large(client);
        self.evict_from(may_go, self.reservable().saturating_sub(bytes));
    }

    /// Returns the part of the process's budget that copies of results can reserve.
    ///
    /// The rest is for the queries that produce such results: their memory is charged only when they have executed.
    fn reservable(&self) -> usize {
        self.0.limits.process / 4 * 3
    }

    /// Returns the weight up to which a client is never evicted, because its eviction would free
    /// too little.
    pub(super) fn min_evicted(&self) -> usize {
        MIN_SHARE.min(self.0.limits.process / 64)
    }

    fn evict_from(&self, may_go: impl Fn(&Client) -> bool, goal: usize) {
        let mut clients = self.open_clients();
        // Evicted clients are about to give their memory back.
        let leaving = |client: &Arc<Client>| client.is_evicted().then(|| client.weight());
        let leaving: usize = clients.iter().filter_map(leaving).sum();
        let mut excess = self.used().saturating_sub(goal + leaving);
        clients.retain(|client| !client.is_evicted() && may_go(client));
        // Cached, because other threads change the weights during the sort.
        clients.sort_by_cached_key(|client| client.weight());
        while excess > 0
            && let Some(heaviest) = clients.pop()
        {
            excess = excess.saturating_sub(heaviest.weight());
            heaviest.evict();
            self.0.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn open_clients(&self) -> Vec<Arc<Client>> {
        let clients = self.0.clients.lock();
        clients
            .by_number
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// Adds bytes if they fit into the part of the budget that can be reserved.
    pub(super) fn try_add(&self, bytes: usize) -> bool {
        let fits = |used: usize| {
            used.checked_add(bytes)
                .filter(|sum| *sum <= self.reservable())
        };
        // The gauges order nothing; the level is read again under its channel's lock.
        let added = self
            .0
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        if let Ok(before) = added {
            self.0.peak.fetch_max(before + bytes, Ordering::Relaxed);
            self.moved(before, before + bytes);
        }
        added.is_ok()
    }

    pub(super) fn add(&self, bytes: usize) {
        let before = self.0.used.fetch_add(bytes, Ordering::Relaxed);
        self.0.peak.fetch_max(before + bytes, Ordering::Relaxed);
        self.moved(before, before + bytes);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        let before = self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        self.moved(before, before.saturating_sub(bytes));
    }

    fn level_of(&self, used: usize) -> Level {
        if used > self.0.limits.process {
            Level::Over
        } else if used > self.near() {
            Level::Near
        } else {
            Level::Calm
        }
    }

    /// Wakes waiting tasks when the level has changed.
    fn moved(&self, before: usize, after: usize) {
        if self.level_of(before) == self.level_of(after) {
            return;
        }
        // Two threads may cross the same line in opposite directions. Each looks again under the
        // channel's lock, so that the last one leaves the level of the last change.
        self.0.level.send_if_modified(|level| {
            let now = self.level_of(self.used());
            std::mem::replace(level, now) != now
        });
    }

    pub(super) fn closed(&self, number: u64) {
        self.0.clients.lock().by_number.remove(&number);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new(MemoryLimits::default())
    }
}

/// The memory held for one client, as its account and the eviction see it.
pub(super) struct Client {
    pub(super) memory: Memory,
    pub(super) number: u64,
    // Relaxed: `held`, `watched` and `is_paused` are estimates, and no other memory depends on
    // them.
    pub(super) held: AtomicUsize,
    pub(super) watched: AtomicUsize,
    /// Whether the server reads slowly from the client.
    pub(super) is_paused: AtomicBool,
    is_evicted: AtomicBool,
    pub(super) evicted: Notify,
}

impl Client {
    pub(super) fn new(memory: Memory, number: u64) -> Client {
        Client {
            memory,
            number,
            held: AtomicUsize::new(0),
            watched: AtomicUsize::new(0),
            is_paused: AtomicBool::new(false),
            is_evicted: AtomicBool::new(false),
            evicted: Notify::new(),
        }
    }

    /// Returns the bytes that are held because of the client: its own charges, and the shared
    /// results that it watches.
    pub(super) fn weight(&self) -> usize {
        self.held.load(Ordering::Relaxed) + self.watched.load(Ordering::Relaxed)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.is_evicted.load(Ordering::Acquire)
    }

    pub(super) fn evict(&self) {
        // Before the notification: a task that begins to wait after it must see the flag.
        self.is_evicted.store(true, Ordering::Release);
        self.evicted.notify_waiters();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.memory.closed(self.number);
    }
}
