use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use lentil_store::{StoreError, Transaction};

use crate::Runtime;

/// Which mutation has the turn, and since when: so that the one that waits can name it.
#[derive(Default)]
pub(crate) struct TurnHolder(Mutex<Option<(Arc<str>, Instant)>>);

/// Held while a mutation has its transaction.
pub(crate) struct HoldsTurn<'a> {
    holder: &'a TurnHolder,
    pub(crate) since: Instant,
}

const PATIENCE: Duration = Duration::from_secs(1);

impl TurnHolder {
    fn take(&self, name: &Arc<str>) -> HoldsTurn<'_> {
        let since = Instant::now();
        *self.0.lock() = Some((Arc::clone(name), since));
        HoldsTurn {
            holder: self,
            since,
        }
    }

    fn warn(&self, waiting: &str) {
        if let Some((holder, since)) = &*self.0.lock() {
            let held_ms = since.elapsed().as_millis() as u64;
            tracing::warn!(
                function = &**holder,
                held_ms,
                waiting,
                "a mutation keeps the others waiting"
            );
        }
    }
}

impl Drop for HoldsTurn<'_> {
    fn drop(&mut self) {
        *self.holder.0.lock() = None;
    }
}

impl Runtime {
    /// Waits for a transaction, and says in the log who keeps it when that takes long.
    pub(super) async fn begin(
        &self,
        name: &Arc<str>,
        alone: bool,
    ) -> Result<(Box<dyn Transaction>, HoldsTurn<'_>), StoreError> {
        let store = self.store();
        let mut begin = if alone {
            store.begin_exclusive()
        } else {
            store.begin()
        };
        let transaction = loop {
            match tokio::time::timeout(PATIENCE, &mut begin).await {
                Ok(begun) => break begun?,
                Err(_) => self.turn_holder().warn(name),
            }
        };
        Ok((transaction, self.turn_holder().take(name)))
    }
}
