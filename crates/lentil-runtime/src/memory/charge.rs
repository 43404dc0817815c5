use std::fmt;

use bytes::Bytes;

use super::{Account, Memory, OverBudget};

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
    pub(super) fn shared(memory: Memory, bytes: usize) -> Charge {
        Charge::new(Payer::Process(memory), bytes)
    }

    pub(super) fn of_client(account: Account, bytes: usize) -> Charge {
        Charge::new(Payer::Client(account), bytes)
    }

    pub(super) fn of_client_only(account: Account, bytes: usize) -> Charge {
        Charge::new(Payer::ClientOnly(account), bytes)
    }

    fn new(payer: Payer, bytes: usize) -> Charge {
        payer.add(bytes);
        Charge { payer, bytes }
    }

    /// The bytes it stands for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes how many bytes it stands for.
    pub fn set(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.payer.add(bytes - self.bytes);
        } else {
            self.payer.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// Charges the same payer for something else.
    #[must_use]
    pub fn another(&self, bytes: usize) -> Charge {
        Charge::new(self.payer.clone(), bytes)
    }

    /// Charges the same payer for something else once it fits into the process's budget; see [`Account::reserve`].
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
    pub(super) fn added(account: Account, bytes: usize) -> Charge {
        Charge {
            payer: Payer::Client(account),
            bytes,
        }
    }

    /// Ties the charge to bytes: it is given back when the last part of them is dropped.
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
