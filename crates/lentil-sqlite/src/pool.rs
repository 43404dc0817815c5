use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use lentil_store::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::{self, run};
use crate::error::store_error;

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
    /// Set when it is to end, for one that is being read just then.
    is_overdue: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(path: PathBuf, readers: usize, max_wait: Duration) -> Arc<Pool> {
        let permits = Arc::new(Semaphore::new(readers));
        Arc::new(Pool { path, permits, idle: Mutex::default(), lent: Mutex::default(), max_wait })
    }

    /// Lends a connection for a snapshot; waits, in order, when all are lent.
    pub(crate) async fn lend(self: &Arc<Self>) -> Result<Arc<Lease>, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = match tokio::time::timeout(self.max_wait, permit).await {
            Ok(permit) => permit.map_err(|_| StoreError::Closed)?,
            Err(_) => return Err(StoreError::Busy { waited: self.max_wait }),
        };
        let idle = self.idle.lock().pop();
        let conn = idle.map_or_else(|| connection::reader(&self.path), Ok).map_err(store_error)?;
        let lease = Arc::new(Lease {
            pool: Arc::clone(self),
            conn: Mutex::new(Some(conn)),
            since: Instant::now(),
            is_overdue: AtomicBool::new(false),
            _permit: permit,
        });
        let mut lent = self.lent.lock();
        lent.retain(|lease| lease.strong_count() > 0);
        lent.push(Arc::downgrade(&lease));
        Ok(lease)
    }

    /// Ends the snapshots that are older than `max_age`, those that are being read right after it.
    pub(crate) fn expire(&self, max_age: Duration) {
        let lent: Vec<_> = self.lent.lock().iter().filter_map(Weak::upgrade).collect();
        for lease in lent.iter().filter(|lease| lease.since.elapsed() >= max_age) {
            lease.is_overdue.store(true, Ordering::SeqCst);
            if let Some(mut conn) = lease.conn.try_lock() {
                lease.end(&mut conn);
            }
        }
    }

    /// Ends every snapshot, and lends nothing from now on.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.expire(Duration::ZERO);
        self.idle.lock().clear();
    }

    fn take_back(&self, conn: Connection) {
        // A connection whose transaction does not end is of no more use.
        let ended = run(&conn, "ROLLBACK");
        let mut idle = self.idle.lock();
        if ended.is_ok() && !self.permits.is_closed() {
            idle.push(conn);
        }
    }
}

impl Lease {
    /// Reads on the connection.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut conn = self.conn.lock();
        let done = read(conn.as_ref().ok_or(StoreError::SnapshotExpired)?);
        if self.is_overdue.load(Ordering::SeqCst) {
            self.end(&mut conn);
        }
        done
    }

    fn end(&self, conn: &mut Option<Connection>) {
        conn.take().into_iter().for_each(|conn| self.pool.take_back(conn));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.get_mut().take() {
            self.pool.take_back(conn);
        }
    }
}
