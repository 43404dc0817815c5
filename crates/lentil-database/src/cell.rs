use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use lentil_call::{Error, Result};
use parking_lot::Mutex;

use crate::Transaction;

/// Where a context's transaction lies while nobody uses it: `ctx.db`, `ctx.db.system` and `ctx.storage` share it.
#[derive(Clone)]
pub struct TransactionCell(Arc<Mutex<Option<Box<Transaction>>>>);

impl TransactionCell {
    /// Returns a cell that holds this transaction.
    pub fn new(transaction: Box<Transaction>) -> TransactionCell {
        TransactionCell(Arc::new(Mutex::new(Some(transaction))))
    }

    /// Takes the transaction; it goes back when the guard is dropped.
    ///
    /// # Errors
    /// [`Code::Abandoned`](lentil_call::Code::Abandoned) when it is not there.
    pub fn lock(&self) -> Result<TransactionGuard> {
        let transaction = self.lend()?;
        Ok(TransactionGuard {
            slot: self.clone(),
            transaction: Some(transaction),
        })
    }

    /// Takes the transaction out, for a nested call.
    ///
    /// # Errors
    /// [`Code::Abandoned`](lentil_call::Code::Abandoned) when it is not there.
    pub fn lend(&self) -> Result<Box<Transaction>> {
        self.take().ok_or_else(Error::abandoned)
    }

    /// Takes the transaction out; `None` when it is not there.
    pub fn take(&self) -> Option<Box<Transaction>> {
        self.0.lock().take()
    }

    /// Puts the transaction back; `None` when the nested call was dropped with it.
    pub fn put(&self, transaction: Option<Box<Transaction>>) {
        *self.0.lock() = transaction;
    }
}

/// The transaction in use.
pub struct TransactionGuard {
    slot: TransactionCell,
    transaction: Option<Box<Transaction>>,
}

impl Deref for TransactionGuard {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        self.transaction
            .as_deref()
            .expect("it is held until the drop")
    }
}

impl DerefMut for TransactionGuard {
    fn deref_mut(&mut self) -> &mut Transaction {
        self.transaction
            .as_deref_mut()
            .expect("it is held until the drop")
    }
}

impl Drop for TransactionGuard {
    fn drop(&mut self) {
        self.slot.put(self.transaction.take());
    }
}
