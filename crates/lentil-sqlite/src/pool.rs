use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use lentil_store::{StoreError, Timestamp};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::{self, run};
use crate::error::store_error;
use crate::frontier::{Frontier, Standing};

/// The connections that read. Each is lent to one snapshot at a time, inside a SQLite transaction.
///
/// A snapshot that is given back stays open, and is lent again as long as nothing is committed: to begin one is a good
/// part of what a short read takes.
pub(crate) struct Pool {
    path: PathBuf,
    frontier: Arc<Frontier>,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Reader>>,
    lent: Mutex<Vec<Weak<Lease>>>,
    max_wait: Duration,
}

/// A connection that reads.
struct Reader {
    conn: Connection,
    /// The snapshot that is open on it.
    standing: Option<Standing>,
}

impl Reader {
    fn end_snapshot(&mut self) -> rusqlite::Result<()> {
        self.standing
            .take()
            .map_or(Ok(()), |_| run(&self.conn, "ROLLBACK"))
    }
}

/// A connection lent to a snapshot; taken away when the snapshot grows too old.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    /// The last commit in the snapshot.
    pub(crate) last: Timestamp,
    reader: Mutex<Option<Reader>>,
    since: Instant,
    /// Set when it is to end, for one that is being read just then.
    is_overdue: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(
        path: PathBuf,
        frontier: Arc<Frontier>,
        readers: usize,
        max_wait: Duration,
    ) -> Arc<Pool> {
        let permits = Arc::new(Semaphore::new(readers));
        Arc::new(Pool {
            path,
            frontier,
            permits,
            idle: Mutex::default(),
            lent: Mutex::default(),
            max_wait,
        })
    }

    /// Lends a connection with a snapshot of now; waits, in order, when all are lent.
    pub(crate) async fn lend(self: &Arc<Self>) -> Result<Arc<Lease>, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = match tokio::time::timeout(self.max_wait, permit).await {
            Ok(permit) => permit.map_err(|_| StoreError::Closed)?,
            Err(_) => {
                return Err(StoreError::Busy {
                    waited: self.max_wait,
                });
            }
        };
        let idle = self.idle.lock().pop();
        let open = || {
            connection::reader(&self.path).map(|conn| Reader {
                conn,
                standing: None,
            })
        };
        let mut reader = idle.map_or_else(open, Ok).map_err(store_error)?;
        let standing = match reader
            .standing
            .filter(|standing| self.frontier.is_of_now(standing))
        {
            Some(standing) => standing,
            None => {
                reader.end_snapshot().map_err(store_error)?;
                *reader
                    .standing
                    .insert(self.frontier.begin_snapshot(&reader.conn)?)
            }
        };
        let lease = Arc::new(Lease {
            pool: Arc::clone(self),
            last: standing.last,
            reader: Mutex::new(Some(reader)),
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
            if let Some(mut reader) = lease.reader.try_lock() {
                lease.end(&mut reader);
            }
        }
    }

    /// Ends the snapshots that are not lent, and lets those that are end when they are given back: the log is then free
    /// of them.
    pub(crate) fn rest(&self) {
        self.frontier.renew();
        self.idle
            .lock()
            .retain_mut(|reader| reader.end_snapshot().is_ok());
    }

    /// Ends every snapshot, and lends nothing from now on.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.expire(Duration::ZERO);
        self.idle.lock().clear();
    }

    fn take_back(&self, mut reader: Reader) {
        let stays = reader
            .standing
            .is_some_and(|standing| self.frontier.is_of_now(&standing));
        // A connection whose transaction does not end is of no more use.
        let is_usable = stays || reader.end_snapshot().is_ok();
        let mut idle = self.idle.lock();
        if is_usable && !self.permits.is_closed() {
            idle.push(reader);
        }
    }
}

impl Lease {
    /// Reads on the connection.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut reader = self.reader.lock();
        let done = read(&reader.as_ref().ok_or(StoreError::SnapshotExpired)?.conn);
        if self.is_overdue.load(Ordering::SeqCst) {
            self.end(&mut reader);
        }
        done
    }

    fn end(&self, reader: &mut Option<Reader>) {
        reader
            .take()
            .into_iter()
            .for_each(|reader| self.pool.take_back(reader));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.get_mut().take() {
            self.pool.take_back(reader);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteOptions;
    use crate::open::{self, Opened};

    #[tokio::test]
    async fn a_snapshot_that_is_given_back_is_lent_again_until_something_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let Opened { path, last, .. } =
            open::open(folder.path(), &SqliteOptions::default()).unwrap();
        let frontier = Arc::new(Frontier::at(last));
        let pool = Pool::new(path, Arc::clone(&frontier), 2, Duration::from_secs(1));
        let is_standing = || {
            pool.idle
                .lock()
                .iter()
                .map(|reader| reader.standing.is_some())
                .collect::<Vec<_>>()
        };
        drop(pool.lend().await.unwrap());
        assert_eq!(is_standing(), [true]);
        let lent = pool.lend().await.unwrap();
        frontier.renew();
        drop(lent);
        assert_eq!(is_standing(), [false]);
        drop(pool.lend().await.unwrap());
        frontier.renew();
        assert_eq!(is_standing(), [true]);
        let lent = pool.lend().await.unwrap();
        assert_eq!(lent.last, last);
        drop(lent);
        assert_eq!(is_standing(), [true]);
        let lent = pool.lend().await.unwrap();
        drop(pool.lend().await.unwrap());
        pool.rest();
        assert_eq!(is_standing(), [false]);
        drop(lent);
        assert_eq!(is_standing(), [false, false]);
    }
}
