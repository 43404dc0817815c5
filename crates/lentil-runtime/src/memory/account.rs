use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use lentil_call::OverBudget;
use tokio::sync::Notify;

use super::{Charge, Level, Memory, ROOM_TIMEOUT};

/// Bytes that every client may hold without slow reading, for any number of clients.
pub(super) const MIN_SHARE: usize = 256 << 10;
/// The interval between two attempts to reserve memory.
const RESERVE_INTERVAL: Duration = Duration::from_millis(10);
/// The longest pause in reading from a client above its fair share.
const READ_PAUSE: Duration = Duration::from_millis(500);

/// The memory held for one client: one HTTP connection, or one WebSocket. A clone is another handle to the same.
#[derive(Clone)]
pub struct Account(Arc<Client>);

pub(super) struct Client {
    memory: Memory,
    number: u64,
    // Relaxed: `held`, `watched` and `is_paused` are estimates, and no other memory depends on them.
    held: AtomicUsize,
    watched: AtomicUsize,
    /// Whether the client is read from slowly.
    is_paused: AtomicBool,
    is_evicted: AtomicBool,
    evicted: Notify,
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

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes that the client causes: its own charges, and the shared results that it watches.
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

impl Account {
    pub(super) fn new(client: Arc<Client>) -> Account {
        Account(client)
    }

    /// Charges the client, also over its limit: for memory that is held already.
    pub fn charge(&self, bytes: usize) -> Charge {
        Charge::of_client(self.clone(), bytes)
    }

    /// Charges the client if that leaves it within its limit.
    ///
    /// # Errors
    /// When it does not. The caller closes the client or refuses its request.
    pub fn try_charge(&self, bytes: usize) -> Result<Charge, OverBudget> {
        self.check(bytes)?;
        Ok(self.charge(bytes))
    }

    /// Charges the client once so many bytes fit into the process's budget. Until they do, the clients that hold the
    /// most are evicted, but not this one.
    ///
    /// # Errors
    /// When they would put the client over its limit, or do not fit within two seconds.
    pub async fn reserve(&self, bytes: usize) -> Result<Charge, OverBudget> {
        self.check(bytes)?;
        let memory = &self.0.memory;
        // A client that holds little is served whatever the others hold.
        if self.held() + bytes <= memory.min_evicted() {
            return Ok(self.charge(bytes));
        }
        // One result larger than the budget must be possible at a time.
        let bytes = bytes.min(memory.limits().process / 2);
        let attempts = ROOM_TIMEOUT.as_millis() / RESERVE_INTERVAL.as_millis();
        for _ in 0..attempts {
            if memory.try_add(bytes) {
                self.hold(bytes);
                return Ok(Charge::added(self.clone(), bytes));
            }
            memory.evict_for(bytes, self.0.number);
            tokio::time::sleep(RESERVE_INTERVAL).await;
        }
        memory.0.refusals.fetch_add(1, Ordering::Relaxed);
        let limit = memory.limits().process;
        Err(OverBudget { limit })
    }

    /// Charges the client for bytes on their way to it. The process is charged only if no other charge covers them.
    pub fn charge_outgoing(&self, bytes: Bytes) -> Bytes {
        let (account, length) = (self.clone(), bytes.len());
        let charge = if bytes.is_unique() {
            Charge::of_client(account, length)
        } else {
            Charge::of_client_only(account, length)
        };
        charge.attach(bytes)
    }

    /// Checks that this many more bytes would leave the client within its limit.
    ///
    /// # Errors
    /// When they would not.
    pub fn check(&self, bytes: usize) -> Result<(), OverBudget> {
        let limit = self.0.memory.limits().client;
        if self.held().saturating_add(bytes) <= limit {
            return Ok(());
        }
        self.0.memory.0.refusals.fetch_add(1, Ordering::Relaxed);
        Err(OverBudget { limit })
    }

    /// Notes that the client keeps shared results alive, until the token is dropped. They are charged to the process
    /// alone; the account's weight decides whom to evict.
    pub fn watch(&self, bytes: usize) -> Watched {
        self.0.watched.fetch_add(bytes, Ordering::Relaxed);
        Watched {
            account: self.clone(),
            bytes,
        }
    }

    /// The bytes charged to the client.
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// The ledger that the account is part of.
    pub fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// Returns whether the server should read from the client now.
    pub fn is_readable(&self) -> bool {
        let memory = &self.0.memory;
        if !memory.is_near() {
            return true;
        }
        let clients = memory.0.open.load(Ordering::Relaxed).max(1);
        let is_readable = self.held() <= (memory.near() / clients).max(MIN_SHARE);
        self.0.is_paused.store(!is_readable, Ordering::Relaxed);
        is_readable
    }

    /// Returns when the server should read from the client; after half a second in any case.
    pub async fn readable(&self) {
        if self.is_readable() {
            return;
        }
        let mut level = self.0.memory.0.level.subscribe();
        let calm = level.wait_for(|level| *level == Level::Calm);
        if tokio::time::timeout(READ_PAUSE, calm).await.is_ok() {
            self.0.is_paused.store(false, Ordering::Relaxed);
        }
    }

    /// Returns whether the client was evicted: the process was over its limit and this client held the most.
    pub fn is_evicted(&self) -> bool {
        self.0.is_evicted()
    }

    /// Returns when the client is evicted.
    pub async fn evicted(&self) {
        loop {
            let evicted = self.0.evicted.notified();
            if self.is_evicted() {
                return;
            }
            evicted.await;
        }
    }

    pub(super) fn add(&self, bytes: usize) {
        self.hold(bytes);
        self.0.memory.add(bytes);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.release(bytes);
        self.0.memory.give_back(bytes);
    }

    pub(super) fn hold(&self, bytes: usize) {
        self.0.held.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn release(&self, bytes: usize) {
        self.0.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}

/// See [`Account::watch`].
#[derive(Debug)]
pub struct Watched {
    account: Account,
    bytes: usize,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.account
            .0
            .watched
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
