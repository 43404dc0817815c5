use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use lentil_store::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::store_error;
use crate::open;

/// The connections that read. Each is lent to one snapshot at a time, inside a SQLite transaction.
pub(crate) struct Pool {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    lent: Mutex<Vec<Weak<Lease>>>,
    max_wait: Duration,
}

/// A connection lent to a snapshot; taken away when the snapshot grows too old.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    conn: Mutex<Option<Connection>>,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(path: PathBuf, readers: usize, max_wait: Duration) -> Arc<Pool> {
        let permits = Arc::new(Semaphore::new(readers));
        Arc::new(Pool { path, permits, idle: Mutex::default(), lent: Mutex::default(), max_wait })
    }

    /// Lends a connection on which a snapshot has begun; waits, in order, when all are lent.
    pub(crate) async fn lend(self: &Arc<Self>) -> Result<Arc<Lease>, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = match tokio::time::timeout(self.max_wait, permit).await {
            Ok(permit) => permit.map_err(|_| StoreError::Closed)?,
            Err(_) => return Err(StoreError::Busy { waited: self.max_wait }),
        };
        let idle = self.idle.lock().pop();
        let conn = idle.map_or_else(|| open::reader(&self.path), Ok).map_err(store_error)?;
        conn.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(store_error)?;
        let lease =
            Lease { pool: Arc::clone(self), conn: Mutex::new(Some(conn)), since: Instant::now(), _permit: permit };
        let lease = Arc::new(lease);
        let mut lent = self.lent.lock();
        lent.retain(|lease| lease.strong_count() > 0);
        lent.push(Arc::downgrade(&lease));
        Ok(lease)
    }

    /// Ends the snapshots that are older than `max_age`.
    pub(crate) fn expire(&self, max_age: Duration) {
        let lent: Vec<_> = self.lent.lock().iter().filter_map(Weak::upgrade).collect();
        for lease in lent.iter().filter(|lease| lease.since.elapsed() > max_age) {
            // One that is just being read ends at the next look.
            let conn = lease.conn.try_lock().and_then(|mut conn| conn.take());
            conn.into_iter().for_each(|conn| self.take_back(conn));
        }
    }

    /// Waits until nothing is lent, and lends nothing from now on.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.expire(Duration::ZERO);
        self.idle.lock().clear();
    }

    fn take_back(&self, conn: Connection) {
        // A connection whose transaction does not end is of no more use.
        let ended = conn.prepare_cached("ROLLBACK").and_then(|mut rollback| rollback.execute([]));
        if ended.is_ok() && !self.permits.is_closed() {
            self.idle.lock().push(conn);
        }
    }
}

impl Lease {
    /// Reads on the connection.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        read(self.conn.lock().as_ref().ok_or(StoreError::SnapshotExpired)?)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.get_mut().take() {
            self.pool.take_back(conn);
        }
    }
}
