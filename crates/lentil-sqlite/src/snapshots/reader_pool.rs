use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use lentil_store::{StoreError, Timestamp};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::SqliteOptions;
use crate::connection::{self, run};
use crate::error::store_error;
use crate::snapshots::commit_tracker::{Frontier, Standing};

/// The connections that read. Each is lent to one snapshot at a time, inside a SQLite transaction.
///
/// A snapshot that is given back stays open, and is lent again as long as nothing is committed: to begin one is a good
/// part of what a short read takes.
pub(crate) struct Pool {
    path: PathBuf,
    frontier: Arc<Frontier>,
    to_read: Arc<Semaphore>,
    to_hold: Arc<Semaphore>,
    idle: Mutex<Vec<Reader>>,
    /// Connections that stay open while they are not lent, at most.
    max_idle: usize,
    lent: Mutex<Vec<Weak<Lease>>>,
    max_wait: Duration,
}

/// The purpose of a snapshot. Each purpose has its own permits, so that neither delays the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A read that is under way.
    Read,
    /// Later reads at the same timestamp.
    Hold,
}

impl Purpose {
    /// The page cache of a connection, as SQLite's `cache_size` takes it: KiB, negated.
    ///
    /// There may be many held snapshots, and each is read a few times at most.
    fn cache_size(self) -> i64 {
        match self {
            Purpose::Read => -2_048,
            Purpose::Hold => -256,
        }
    }
}

/// A connection that reads.
struct Reader {
    conn: Connection,
    purpose: Purpose,
    /// The snapshot that is open on it.
    standing: Option<Standing>,
}

impl Reader {
    fn open(path: &Path, purpose: Purpose) -> rusqlite::Result<Reader> {
        let conn = connection::reader(path)?;
        conn.pragma_update(None, "cache_size", purpose.cache_size())?;
        Ok(Reader {
            conn,
            purpose,
            standing: None,
        })
    }

    /// Adapts an idle connection to its next purpose.
    fn fit(&mut self, purpose: Purpose) -> rusqlite::Result<()> {
        if self.purpose != purpose {
            self.conn
                .pragma_update(None, "cache_size", purpose.cache_size())?;
            self.purpose = purpose;
        }
        Ok(())
    }

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
    purpose: Purpose,
    since: Instant,
    /// Set when it is to end, for one that is being read just then.
    is_overdue: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(
        path: PathBuf,
        frontier: Arc<Frontier>,
        options: &SqliteOptions,
    ) -> Arc<Pool> {
        Arc::new(Pool {
            path,
            frontier,
            to_read: Arc::new(Semaphore::new(options.readers)),
            to_hold: Arc::new(Semaphore::new(options.held_snapshots)),
            idle: Mutex::default(),
            max_idle: options.readers,
            lent: Mutex::default(),
            max_wait: options.max_wait,
        })
    }

    /// Lends a connection with a snapshot of now; waits, in order, when all of its purpose are lent.
    pub(crate) async fn lend(self: &Arc<Self>, purpose: Purpose) -> Result<Arc<Lease>, StoreError> {
        let permits = match purpose {
            Purpose::Read => &self.to_read,
            Purpose::Hold => &self.to_hold,
        };
        let permit = Arc::clone(permits).acquire_owned();
        let permit = match tokio::time::timeout(self.max_wait, permit).await {
            Ok(permit) => permit.map_err(|_| StoreError::Closed)?,
            Err(_) => {
                return Err(StoreError::Busy {
                    waited: self.max_wait,
                });
            }
        };
        let idle = self.idle.lock().pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => Reader::open(&self.path, purpose).map_err(store_error)?,
        };
        reader.fit(purpose).map_err(store_error)?;
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
            purpose,
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
        self.expire_those(|lease| lease.since.elapsed() >= max_age);
    }

    /// As [`Pool::expire`], of the snapshots that are held alone.
    pub(crate) fn expire_held(&self, max_age: Duration) {
        self.expire_those(|lease| {
            lease.purpose == Purpose::Hold && lease.since.elapsed() >= max_age
        });
    }

    fn expire_those(&self, are_over: impl Fn(&Lease) -> bool) {
        let lent: Vec<_> = self.lent.lock().iter().filter_map(Weak::upgrade).collect();
        for lease in lent.iter().filter(|lease| are_over(lease)) {
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
        self.to_read.close();
        self.to_hold.close();
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
        if is_usable && idle.len() < self.max_idle && !self.to_read.is_closed() {
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
    use crate::open::database::{self, Opened};

    #[tokio::test]
    async fn a_snapshot_that_is_given_back_is_lent_again_until_something_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let Opened { path, last, .. } =
            database::open(folder.path(), &SqliteOptions::default()).unwrap();
        let frontier = Arc::new(Frontier::at(last));
        let options = SqliteOptions {
            readers: 2,
            ..SqliteOptions::default()
        };
        let pool = Pool::new(path, Arc::clone(&frontier), &options);
        let is_standing = || {
            pool.idle
                .lock()
                .iter()
                .map(|reader| reader.standing.is_some())
                .collect::<Vec<_>>()
        };
        drop(pool.lend(Purpose::Read).await.unwrap());
        assert_eq!(is_standing(), [true]);
        let lent = pool.lend(Purpose::Read).await.unwrap();
        frontier.renew();
        drop(lent);
        assert_eq!(is_standing(), [false]);
        drop(pool.lend(Purpose::Read).await.unwrap());
        frontier.renew();
        assert_eq!(is_standing(), [true]);
        let lent = pool.lend(Purpose::Read).await.unwrap();
        assert_eq!(lent.last, last);
        drop(lent);
        assert_eq!(is_standing(), [true]);
        let lent = pool.lend(Purpose::Read).await.unwrap();
        drop(pool.lend(Purpose::Read).await.unwrap());
        pool.rest();
        assert_eq!(is_standing(), [false]);
        drop(lent);
        assert_eq!(is_standing(), [false, false]);
    }

    #[tokio::test]
    async fn held_snapshots_take_no_connection_from_reads_and_can_end_alone() {
        let folder = tempfile::tempdir().unwrap();
        let Opened { path, last, .. } =
            database::open(folder.path(), &SqliteOptions::default()).unwrap();
        let frontier = Arc::new(Frontier::at(last));
        let options = SqliteOptions {
            readers: 2,
            held_snapshots: 5,
            max_wait: Duration::from_millis(1),
            ..SqliteOptions::default()
        };
        let pool = Pool::new(path, frontier, &options);
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(pool.lend(Purpose::Hold).await.unwrap());
        }
        let sixth = pool.lend(Purpose::Hold).await.err();
        assert!(matches!(sixth, Some(StoreError::Busy { .. })));
        let read = pool.lend(Purpose::Read).await.unwrap();

        let is_open = |lease: &Lease| lease.read(|_| Ok(())).is_ok();
        assert!(held.iter().all(|lease| is_open(lease)));
        pool.expire_held(Duration::ZERO);
        assert!(!held.iter().any(|lease| is_open(lease)));
        assert!(is_open(&read));
        drop((held, read));
        let idle = pool.idle.lock().len();
        assert_eq!(idle, 2, "connections that are not needed are closed");
    }
}
