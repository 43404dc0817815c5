use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Transaction;
use crate::{Code, Error, Result};

/// Where a context's transaction lies while nobody uses it: `ctx.db`, `ctx.db.system` and `ctx.storage` share it.
#[derive(Clone)]
pub(crate) struct Slot(Arc<Mutex<Option<Box<Transaction>>>>);

impl Slot {
    pub(crate) fn new(transaction: Box<Transaction>) -> Slot {
        Slot(Arc::new(Mutex::new(Some(transaction))))
    }

    /// Takes the transaction; it goes back when the guard is dropped.
    ///
    /// # Errors
    /// [`Code::Abandoned`] when it is not there.
    pub(crate) fn lock(&self) -> Result<Held> {
        let transaction = self.take().ok_or_else(abandoned)?;
        Ok(Held {
            slot: self.clone(),
            transaction: Some(transaction),
        })
    }

    pub(crate) fn take(&self) -> Option<Box<Transaction>> {
        self.0.lock().take()
    }

    pub(crate) fn put(&self, transaction: Option<Box<Transaction>>) {
        *self.0.lock() = transaction;
    }
}

/// The transaction in use.
pub(crate) struct Held {
    slot: Slot,
    transaction: Option<Box<Transaction>>,
}

impl Deref for Held {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        self.transaction
            .as_deref()
            .expect("it is held until the drop")
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Transaction {
        self.transaction
            .as_deref_mut()
            .expect("it is held until the drop")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.slot.put(self.transaction.take());
    }
}

pub(super) fn abandoned() -> Error {
    let message = "a nested call was dropped before it finished, or two are made side by side; \
                   this transaction cannot go on";
    Error::new(Code::Abandoned, message)
}
