use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use lentil_call::OverBudget;

use super::ledger::{Client, Level, MIN_SHARE, Memory, ROOM_TIMEOUT};

/// The interval between two attempts to reserve memory.
const RESERVE_INTERVAL: Duration = Duration::from_millis(10);
/// The longest pause in reading from a client above its fair share.
const READ_PAUSE: Duration = Duration::from_millis(500);

/// The memory held for one client: one HTTP connection, or one WebSocket. A clone is another handle
/// to the same account.
#[derive(Clone)]
pub struct Account(Arc<Client>);

impl Account {
    /// Charges the client, even over its limit, for memory that is held already.
    pub fn charge(&self, bytes: usize) -> Charge {
        Charge::of_client(self.clone(), bytes)
    }

    /// Charges the client if that leaves it within its limit.
    ///
    /// # Errors
    /// When the client would be over its limit. The caller closes the client or refuses its
    /// request.
    pub fn try_charge(&self, bytes: usize) -> Result<Charge, OverBudget> {
        self.check(bytes)?;
        Ok(self.charge(bytes))
    }

    /// Charges the client once the bytes fit into the process's budget. Until then, other clients
    /// are evicted, those that hold the most first.
    ///
    /// # Errors
    /// When the bytes would put the client over its limit, or do not fit within two seconds.
    pub async fn reserve(&self, bytes: usize) -> Result<Charge, OverBudget> {
        self.check(bytes)?;
        let memory = &self.0.memory;
        // A client that holds little is always served.
        if self.held() + bytes <= memory.min_evicted() {
            return Ok(self.charge(bytes));
        }
        // One result that is larger than the budget must be possible at a time.
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

    /// Charges the client for bytes on their way to it. The process is charged only if no other
    /// charge covers them.
    pub fn charge_outgoing(&self, bytes: Bytes) -> Bytes {
        let account = self.clone();
        let length = bytes.len();
        // Shared bytes belong to a cached result, whose own charge to the process covers them.
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
    /// When they would not fit.
    pub fn check(&self, bytes: usize) -> Result<(), OverBudget> {
        let limit = self.0.memory.limits().client;
        if self.held().saturating_add(bytes) <= limit {
            return Ok(());
        }
        self.0.memory.0.refusals.fetch_add(1, Ordering::Relaxed);
        Err(OverBudget { limit })
    }

    /// Notes that the client keeps shared results alive, until the token is dropped.
    ///
    /// The results are charged to the process only, but they count when the heaviest client is
    /// evicted.
    pub fn watch(&self, bytes: usize) -> Watched {
        self.0.watched.fetch_add(bytes, Ordering::Relaxed);
        Watched {
            account: self.clone(),
            bytes,
        }
    }

    /// Returns the bytes charged to the client.
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// Returns the ledger that the account is part of.
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

    /// Returns when the server should read from the client, or after half a second.
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

    /// Returns whether the client was evicted: the process was over its limit and this client held
    /// the most.
    pub fn is_evicted(&self) -> bool {
        self.0.is_evicted()
    }

    /// Returns when the client is evicted.
    pub async fn evicted(&self) {
        loop {
            // Created before the check, so that an eviction between the two wakes this task.
            let evicted = self.0.evicted.notified();
            if self.is_evicted() {
                return;
            }
            evicted.await;
        }
    }

    fn add(&self, bytes: usize) {
        self.hold(bytes);
        self.0.memory.add(bytes);
    }

    fn give_back(&self, bytes: usize) {
        self.release(bytes);
        self.0.memory.give_back(bytes);
    }

    fn hold(&self, bytes: usize) {
        self.0.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn release(&self, bytes: usize) {
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

/// Memory that is held until this value is dropped. The default charges nothing.
#[derive(Default)]
pub struct Charge {
    payer: Payer,
    bytes: usize,
}

#[derive(Clone, Default)]
enum Payer {
    #[default]
    Nobody,
    Process(Memory),
    Client(Account),
    /// The process was charged by another charge.
    ClientOnly(Account),
}

impl Payer {
    fn add(&self, bytes: usize) {
        match self {
            Payer::Nobody => {}
            Payer::Process(memory) => memory.add(bytes),
            Payer::Client(account) => account.add(bytes),
            Payer::ClientOnly(account) => account.hold(bytes),
        }
    }

    fn give_back(&self, bytes: usize) {
        match self {
            Payer::Nobody => {}
            Payer::Process(memory) => memory.give_back(bytes),
            Payer::Client(account) => account.give_back(bytes),
            Payer::ClientOnly(account) => account.release(bytes),
        }
    }
}

impl Charge {
    fn shared(memory: Memory, bytes: usize) -> Charge {
        Charge::new(Payer::Process(memory), bytes)
    }

    fn of_client(account: Account, bytes: usize) -> Charge {
        Charge::new(Payer::Client(account), bytes)
    }

    fn of_client_only(account: Account, bytes: usize) -> Charge {
        Charge::new(Payer::ClientOnly(account), bytes)
    }

    fn new(payer: Payer, bytes: usize) -> Charge {
        payer.add(bytes);
        Charge { payer, bytes }
    }

    /// Returns the charged bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes the charged bytes.
    pub fn set(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.payer.add(bytes - self.bytes);
        } else {
            self.payer.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// Charges the same payer for other memory.
    #[must_use]
    pub fn another(&self, bytes: usize) -> Charge {
        Charge::new(self.payer.clone(), bytes)
    }

    /// Charges the same payer for other memory, once it fits into the process's budget; see
    /// [`Account::reserve`].
    ///
    /// # Errors
    /// When it does not fit in time.
    pub async fn reserve(&self, bytes: usize) -> Result<Charge, OverBudget> {
        match &self.payer {
            Payer::Client(account) | Payer::ClientOnly(account) => account.reserve(bytes).await,
            Payer::Nobody | Payer::Process(_) => Ok(self.another(bytes)),
        }
    }

    /// Returns a charge for bytes that were added to this account already.
    fn added(account: Account, bytes: usize) -> Charge {
        Charge {
            payer: Payer::Client(account),
            bytes,
        }
    }

    /// Attaches the charge to bytes: it is dropped with the last part of them.
    pub fn attach(self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        Bytes::from_owner(Charged {
            bytes,
            _charge: self,
        })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.payer.give_back(self.bytes);
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Charge({} bytes)", self.bytes)
    }
}

struct Charged<B> {
    bytes: B,
    _charge: Charge,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Charged<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Memory {
    /// Opens an account for a connection.
    pub fn client(&self) -> Account {
        let mut clients = self.0.clients.lock();
        clients.last_number += 1;
        let number = clients.last_number;
        let client = Arc::new(Client::new(self.clone(), number));
        // Weak, because the account closes when its last handle is dropped.
        clients.by_number.insert(number, Arc::downgrade(&client));
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Account(client)
    }

    /// Opens an account of the server itself, which is never evicted.
    pub fn internal(&self) -> Account {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        // Not added to `by_number`, so that eviction does not find it.
        Account(Arc::new(Client::new(self.clone(), 0)))
    }

    /// Charges the process for memory that clients share.
    pub fn charge(&self, bytes: usize) -> Charge {
        Charge::shared(self.clone(), bytes)
    }
}
