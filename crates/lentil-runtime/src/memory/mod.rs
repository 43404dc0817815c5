//! Memory budgets: the memory held for each client, and for all of them together.
//!
//! ```text
//! Charge ─► Account (one connection) ─► Memory (the process)      a client's own: messages, arguments, bodies, responses
//! Charge ───────────────────────────► Memory                      shared: results, however many clients watch them
//! Watched ─► Account                                              its watching keeps shared results alive
//! ```
//!
//! A [`Charge`] lives as long as the memory it stands for, and gives it back when it is dropped. Bytes are estimates of
//! heap memory, not wire bytes. Charging never fails by itself; a reader of client bytes checks first:
//!
//! - An account over [`MemoryLimits::client`] is closed, or its request is refused ([`Account::try_charge`]).
//! - Above 7/8 of [`MemoryLimits::process`] the server reads slowly from clients above their fair share, so that
//!   clients with little are served as before ([`Account::readable`]). If that does not help within half a second,
//!   the heaviest of them are evicted: their memory may be useless, because their peers have hung up.
//! - Above the limit itself [`Memory::relieve`] drops cached results, then evicts the client that holds the most, and
//!   new work waits until there is room ([`Memory::room`]).
//!
//! Every wait is bounded: a client that is not read from may be the one that has to be read to free memory.

mod account;
mod charge;
mod segments;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

pub use account::{Account, Watched};
use account::{Client, MIN_SHARE};
pub use charge::Charge;
pub use lentil_call::OverBudget;
pub use segments::Segments;

/// The longest time that new work waits for room before it begins.
const ROOM_TIMEOUT: Duration = Duration::from_secs(2);
/// Time of slow reading after which the heaviest clients above their share are evicted.
const NEAR_TIMEOUT: Duration = Duration::from_millis(500);
/// Time that evicted clients get to give their memory back before the next check.
const RELIEF_INTERVAL: Duration = Duration::from_millis(10);

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

/// Memory use and its effects; every gauge and counter of the budgets is here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Bytes charged, by clients and for shared results.
    pub used: usize,
    /// The most that `used` has been.
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
enum Level {
    #[default]
    Calm,
    Near,
    Over,
}

/// The ledger of all charges; a clone is another handle to the same.
#[derive(Clone)]
pub struct Memory(Arc<Ledger>);

struct Ledger {
    limits: MemoryLimits,
    // Relaxed: each counter is independent. The lock of `level` orders the changes that tasks wait for.
    used: AtomicUsize,
    peak: AtomicUsize,
    evictions: AtomicU64,
    refusals: AtomicU64,
    clients: Mutex<Clients>,
    open: AtomicUsize,
    level: watch::Sender<Level>,
}

#[derive(Default)]
struct Clients {
    by_number: HashMap<u64, Weak<Client>>,
    last_number: u64,
}

impl Memory {
    /// An empty ledger.
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

    /// The limits.
    pub fn limits(&self) -> MemoryLimits {
        self.0.limits
    }

    /// Opens an account for a connection.
    pub fn client(&self) -> Account {
        let mut clients = self.0.clients.lock();
        clients.last_number += 1;
        let number = clients.last_number;
        let client = Arc::new(Client::new(self.clone(), number));
        clients.by_number.insert(number, Arc::downgrade(&client));
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Account::new(client)
    }

    /// Opens an account of the server itself, which is never evicted.
    pub fn internal(&self) -> Account {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Account::new(Arc::new(Client::new(self.clone(), 0)))
    }

    /// Charges the process for something that clients share.
    pub fn charge(&self, bytes: usize) -> Charge {
        Charge::shared(self.clone(), bytes)
    }

    /// Returns when the process is within its limit, or after two seconds: the memory may be held by work that waits
    /// for this.
    pub async fn room(&self) {
        if !self.is_over() {
            return;
        }
        let mut level = self.0.level.subscribe();
        let room = level.wait_for(|level| *level < Level::Over);
        let _ = tokio::time::timeout(ROOM_TIMEOUT, room).await;
    }

    /// Keeps the process within its limit for as long as it is polled: calls `shed` with the bytes to drop from caches,
    /// then evicts the clients that hold the most.
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

    /// Above this the server reads slowly from clients above their fair share.
    fn near(&self) -> usize {
        self.0.limits.process / 8 * 7
    }

    fn is_near(&self) -> bool {
        self.used() > self.near()
    }

    /// Evicts clients that are read from slowly, the heaviest first, until a quarter of the limit is free.
    fn evict_paused(&self) {
        let goal = self.0.limits.process / 4 * 3;
        self.evict_from(Client::is_paused, goal);
    }

    /// Evicts clients, the heaviest first, until what the others hold is within the limit.
    fn evict_heaviest(&self) {
        self.evict_from(
            |client| client.weight() > self.min_evicted(),
            self.0.limits.process,
        );
    }

    /// Evicts the clients that hold the most, so that `bytes` fit, but not the client of this number.
    fn evict_for(&self, bytes: usize, number: u64) {
        let is_large = |client: &Client| client.weight() > self.min_evicted();
        let may_go = |client: &Client| client.number() != number && is_large(client);
        self.evict_from(may_go, self.0.limits.process.saturating_sub(bytes));
    }

    /// The weight up to which a client is never evicted: it would free too little.
    fn min_evicted(&self) -> usize {
        MIN_SHARE.min(self.0.limits.process / 64)
    }

    fn evict_from(&self, may_go: impl Fn(&Client) -> bool, goal: usize) {
        let mut clients = self.open_clients();
        // Evicted clients are about to give their memory back.
        let leaving = |client: &Arc<Client>| client.is_evicted().then(|| client.weight());
        let leaving: usize = clients.iter().filter_map(leaving).sum();
        let mut excess = self.used().saturating_sub(goal + leaving);
        clients.retain(|client| !client.is_evicted() && may_go(client));
        clients.sort_unstable_by_key(|client| client.weight());
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

    /// Adds bytes if they fit into the budget.
    fn try_add(&self, bytes: usize) -> bool {
        let fits = |used: usize| {
            used.checked_add(bytes)
                .filter(|sum| *sum <= self.0.limits.process)
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

    fn add(&self, bytes: usize) {
        let before = self.0.used.fetch_add(bytes, Ordering::Relaxed);
        self.0.peak.fetch_max(before + bytes, Ordering::Relaxed);
        self.moved(before, before + bytes);
    }

    fn give_back(&self, bytes: usize) {
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
        // Two threads may cross the same line in opposite directions. Each looks again under the channel's lock, so that
        // the last one leaves the level of the last change.
        self.0.level.send_if_modified(|level| {
            let now = self.level_of(self.used());
            std::mem::replace(level, now) != now
        });
    }

    fn closed(&self, number: u64) {
        self.0.clients.lock().by_number.remove(&number);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new(MemoryLimits::default())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn memory(process: usize, client: usize) -> Memory {
        Memory::new(MemoryLimits { process, client })
    }

    #[test]
    fn a_charge_is_given_back_when_it_is_dropped() {
        let memory = memory(1_000, 500);
        let (client, shared) = (memory.client(), memory.charge(100));
        let mut own = client.charge(200);
        own.set(250);
        assert_eq!((client.held(), memory.stats().used), (250, 350));
        own.set(50);
        drop(shared);
        assert_eq!((client.held(), memory.stats().used), (50, 50));
        drop(own);
        drop(client);
        let stats = memory.stats();
        assert_eq!((stats.used, stats.peak, stats.clients), (0, 350, 0));
    }

    #[test]
    fn a_client_is_refused_over_its_own_limit_only() {
        let memory = memory(10_000, 500);
        let (first, second) = (memory.client(), memory.client());
        let held = first.try_charge(400).expect("it is within the limit");
        assert!(first.try_charge(101).is_err() && second.try_charge(101).is_ok());
        drop(held);
        assert!(first.try_charge(101).is_ok());
        assert_eq!(memory.stats().refusals, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_client_that_holds_the_most_is_evicted_and_not_the_one_that_asks_next() {
        let memory = memory(1_000, 1_000);
        let [small, large, watcher] = [(); 3].map(|()| memory.client());
        let _small = small.charge(200);
        let mut large_charge = Some(large.charge(300));
        let shared = memory.charge(400);
        let watched = watcher.watch(400);
        let relief = memory.relieve(|_| ());
        tokio::pin!(relief);
        assert!(relief.as_mut().now_or_never().is_none());
        assert!(![&small, &large, &watcher].iter().any(|it| it.is_evicted()));
        // It asks next, and is within the limits by itself; the watcher's results weigh the most.
        let _more = small.charge(150);
        assert!(relief.as_mut().now_or_never().is_none());
        let evicted = [&small, &large, &watcher].map(|it| it.is_evicted());
        assert_eq!(evicted, [false, false, true]);
        // No other client is evicted while the first gives its memory back, nor afterwards.
        tokio::time::advance(RELIEF_INTERVAL).await;
        assert!(relief.as_mut().now_or_never().is_none());
        drop((watched, shared));
        tokio::time::advance(RELIEF_INTERVAL).await;
        assert!(relief.as_mut().now_or_never().is_none());
        assert!(!small.is_evicted() && !large.is_evicted());
        large_charge.take();
        assert_eq!(memory.stats().evictions, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_reserved_once_the_heaviest_other_client_is_gone() {
        let memory = memory(1_000, 1_000);
        let [small, large, asking] = [(); 3].map(|()| memory.client());
        let _small = small.charge(15);
        let held = large.charge(500);
        let _own = asking.charge(400);
        let reserving = asking.reserve(300);
        tokio::pin!(reserving);
        assert!(reserving.as_mut().now_or_never().is_none());
        let evicted = [&small, &large, &asking].map(|it| it.is_evicted());
        assert_eq!(evicted, [false, true, false]);
        drop(held);
        tokio::time::advance(RELIEF_INTERVAL).await;
        let reserved = reserving.await.unwrap();
        assert_eq!(memory.stats().used, 715);
        drop(reserved);
        assert_eq!((memory.stats().used, asking.held()), (415, 400));
        // A little is always there.
        let nearly_all = asking.charge(600);
        assert!(memory.client().reserve(15).await.is_ok());
        drop(nearly_all);
        // The other client is evicted, but it gives nothing back in time.
        let _more = asking.reserve(490).await.unwrap();
        assert!(small.reserve(500).await.is_err());
        assert!(asking.is_evicted());
    }

    #[tokio::test(start_paused = true)]
    async fn caches_are_shed_before_a_client_is_evicted() {
        let memory = memory(1_000, 1_000);
        let client = memory.client();
        let cache = Mutex::new(vec![memory.charge(600)]);
        let _held = client.charge(500);
        let relief = memory.relieve(|excess| {
            assert_eq!(excess, 100);
            cache.lock().clear();
        });
        assert!(relief.now_or_never().is_none());
        assert!(!client.is_evicted());
        assert_eq!(memory.stats().used, 500);
    }

    #[tokio::test(start_paused = true)]
    async fn near_the_limit_only_clients_above_their_share_are_read_slowly() {
        let memory = memory(8 << 20, 8 << 20);
        let (greedy, polite) = (memory.client(), memory.client());
        let held = greedy.charge((7 << 20) + 1);
        let _polite = polite.charge(1_000);
        assert!(polite.readable().now_or_never().is_some());
        assert!(greedy.readable().now_or_never().is_none());
        // It is read from in the end, or its memory might never be freed.
        let began = tokio::time::Instant::now();
        greedy.readable().await;
        assert!(began.elapsed() >= Duration::from_millis(500));
        drop(held);
        assert!(greedy.readable().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_read_slowly_for_long_is_evicted_and_no_other() {
        let memory = memory(8 << 20, 8 << 20);
        let (idle, greedy) = (memory.client(), memory.client());
        let _idle = idle.charge((3 << 20) + 1);
        let held = greedy.charge(4 << 20);
        assert!(!greedy.is_readable());
        let relief = memory.relieve(|_| ());
        tokio::pin!(relief);
        assert!(relief.as_mut().now_or_never().is_none());
        tokio::time::advance(NEAR_TIMEOUT).await;
        assert!(relief.as_mut().now_or_never().is_none());
        assert_eq!((idle.is_evicted(), greedy.is_evicted()), (false, true));
        drop(held);
        tokio::time::advance(NEAR_TIMEOUT).await;
        assert!(relief.as_mut().now_or_never().is_none());
        assert!(!idle.is_evicted());
    }

    #[tokio::test(start_paused = true)]
    async fn new_work_waits_for_room_and_not_for_ever() {
        let memory = memory(1_000, 1_000);
        let over = memory.charge(1_001);
        let waiting = memory.room();
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(over);
        waiting.await;
        let _over = memory.charge(1_001);
        memory.room().await;
    }

    #[tokio::test]
    async fn an_evicted_client_is_notified_whenever_it_starts_to_wait() {
        let memory = memory(10, 10);
        let client = memory.client();
        let _held = client.charge(11);
        let before = client.clone();
        let listening = tokio::spawn(async move { before.evicted().await });
        tokio::task::yield_now().await;
        assert!(memory.relieve(|_| ()).now_or_never().is_none());
        listening.await.expect("the level change wakes the task");
        client.evicted().await;
    }
}
