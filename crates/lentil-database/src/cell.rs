use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use lentil_call::{Error, Result};
use parking_lot::Mutex;

use crate::transaction::Transaction;

/// The cell in which a context keeps its transaction.
///
/// `ctx.db`, `ctx.db.system`, `ctx.storage` and `ctx.scheduler` share it. Each takes the
/// transaction out while it uses it. A nested call takes it out too, so that its caller cannot use
/// the transaction meanwhile.
#[derive(Clone)]
pub struct TransactionCell(Arc<Mutex<Option<Box<Transaction>>>>);

impl TransactionCell {
    /// Returns a cell that holds this transaction.
    pub fn new(transaction: Box<Transaction>) -> TransactionCell {
        TransactionCell(Arc::new(Mutex::new(Some(transaction))))
    }

    /// Borrows the transaction until the guard is dropped.
    ///
    /// # Errors
    /// [`Code::Abandoned`](lentil_call::Code::Abandoned) when it is not there.
    pub fn borrow(&self) -> Result<TransactionGuard> {
        let transaction = self.lend()?;
        Ok(TransactionGuard {
            cell: self.clone(),
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

/// A borrowed transaction.
pub struct TransactionGuard {
    cell: TransactionCell,
    transaction: Option<Box<Transaction>>,
}

impl Deref for TransactionGuard {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        self.transaction
            .as_deref()
            .expect("the guard holds the transaction until it is dropped")
    }
}

impl DerefMut for TransactionGuard {
    fn deref_mut(&mut self) -> &mut Transaction {
        self.transaction
            .as_deref_mut()
            .expect("the guard holds the transaction until it is dropped")
    }
}

impl Drop for TransactionGuard {
    fn drop(&mut self) {
        self.cell.put(self.transaction.take());
    }
}
