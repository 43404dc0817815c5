use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use lentil_store::{StoreError, Timestamp};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::commit_tracker::{CommitTracker, ReadSnapshot};
use crate::connection::{self, run};
use crate::error::store_error;
use crate::options::SqliteOptions;

/// The connections that read. Each serves one snapshot at a time, inside a SQLite transaction.
///
/// A returned connection keeps its snapshot open, and the next read reuses it if nothing was
/// committed since: beginning a snapshot is a good part of the time of a short read.
pub(crate) struct ReaderPool {
    path: PathBuf,
    tracker: Arc<CommitTracker>,
    read_permits: Arc<Semaphore>,
    hold_permits: Arc<Semaphore>,
    idle: Mutex<Vec<Reader>>,
    /// The maximum number of idle connections that stay open.
    max_idle: usize,
    acquired: Mutex<Vec<Weak<PooledReader>>>,
    max_wait: Duration,
}

/// The purpose of a snapshot. Each purpose has its own permits, so that neither delays the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A read in progress.
    Read,
    /// Later reads at the same timestamp.
    Hold,
}

impl Purpose {
    /// Returns the page cache of a connection in SQLite's form: KiB, negated.
    ///
    /// Many snapshots may be held, and each is read only a few times.
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
    /// The snapshot that is open on the connection.
    snapshot: Option<ReadSnapshot>,
}

impl Reader {
    fn open(path: &Path, purpose: Purpose) -> rusqlite::Result<Reader> {
        let conn = connection::reader(path)?;
        conn.pragma_update(None, "cache_size", purpose.cache_size())?;
        Ok(Reader {
            conn,
            purpose,
            snapshot: None,
        })
    }

    /// Prepares an idle connection for its next purpose.
    fn set_purpose(&mut self, purpose: Purpose) -> rusqlite::Result<()> {
        if self.purpose != purpose {
            self.conn
                .pragma_update(None, "cache_size", purpose.cache_size())?;
            self.purpose = purpose;
        }
        Ok(())
    }

    /// Returns the open snapshot if it is current; otherwise begins a new one.
    fn begin_snapshot(&mut self, tracker: &CommitTracker) -> Result<ReadSnapshot, StoreError> {
        if let Some(snapshot) = self.snapshot
            && tracker.is_current(&snapshot)
        {
            return Ok(snapshot);
        }
        self.end_snapshot().map_err(store_error)?;
        let snapshot = tracker.begin_snapshot(&self.conn)?;
        self.snapshot = Some(snapshot);
        Ok(snapshot)
    }

    fn end_snapshot(&mut self) -> rusqlite::Result<()> {
        match self.snapshot.take() {
            Some(_) => run(&self.conn, "ROLLBACK"),
            None => Ok(()),
        }
    }
}

/// A connection that a snapshot has acquired. The pool takes it away when the snapshot grows too
/// old.
pub(crate) struct PooledReader {
    pool: Arc<ReaderPool>,
    /// The last commit in the snapshot.
    pub(crate) last: Timestamp,
    reader: Mutex<Option<Reader>>,
    purpose: Purpose,
    since: Instant,
    /// Set when the snapshot expires, for a read that runs at that moment.
    is_expired: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl ReaderPool {
    pub(crate) fn new(
        path: PathBuf,
        tracker: Arc<CommitTracker>,
        options: &SqliteOptions,
    ) -> Arc<ReaderPool> {
        Arc::new(ReaderPool {
            path,
            tracker,
            read_permits: Arc::new(Semaphore::new(options.readers)),
            hold_permits: Arc::new(Semaphore::new(options.held_snapshots)),
            idle: Mutex::default(),
            max_idle: options.readers,
            acquired: Mutex::default(),
            max_wait: options.max_wait,
        })
    }

    /// Acquires a connection with a current snapshot. Callers of one purpose are served in order.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if no connection of this purpose was returned in time.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        purpose: Purpose,
    ) -> Result<Arc<PooledReader>, StoreError> {
        let permits = match purpose {
            Purpose::Read => &self.read_permits,
            Purpose::Hold => &self.hold_permits,
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

        // The last one returned: its snapshot is most likely current, and its page cache warm.
        let idle = self.idle.lock().pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => Reader::open(&self.path, purpose).map_err(store_error)?,
        };
        reader.set_purpose(purpose).map_err(store_error)?;
        let snapshot = reader.begin_snapshot(&self.tracker)?;

        let pooled = Arc::new(PooledReader {
            pool: Arc::clone(self),
            last: snapshot.last,
            reader: Mutex::new(Some(reader)),
            purpose,
            since: Instant::now(),
            is_expired: AtomicBool::new(false),
            _permit: permit,
        });
        let mut acquired = self.acquired.lock();
        // Removes returned ones here rather than in `drop`, which would have to search the list.
        acquired.retain(|pooled| pooled.strong_count() > 0);
        acquired.push(Arc::downgrade(&pooled));
        Ok(pooled)
    }

    /// Ends the snapshots that are older than `max_age`. A snapshot that is being read ends after
    /// that read.
    pub(crate) fn expire(&self, max_age: Duration) {
        self.expire_if(|pooled| pooled.since.elapsed() >= max_age);
    }

    /// As [`ReaderPool::expire`], for held snapshots only.
    pub(crate) fn expire_held(&self, max_age: Duration) {
        self.expire_if(|pooled| {
            pooled.purpose == Purpose::Hold && pooled.since.elapsed() >= max_age
        });
    }

    fn expire_if(&self, is_too_old: impl Fn(&PooledReader) -> bool) {
        // Upgrade first, expire later: dropping the last reference under the lock would lock `idle`
        // inside `acquired`.
        let acquired: Vec<_> = {
            let acquired = self.acquired.lock();
            acquired.iter().filter_map(Weak::upgrade).collect()
        };
        for pooled in acquired {
            if !is_too_old(&pooled) {
                continue;
            }
            // Set before `try_lock`: a read that holds the lock looks at the flag when it ends.
            // SeqCst orders the two.
            pooled.is_expired.store(true, Ordering::SeqCst);
            if let Some(mut reader) = pooled.reader.try_lock() {
                pooled.end(&mut reader);
            }
        }
    }

    /// Ends the snapshots of idle connections. Acquired ones end when they are returned. The log is
    /// then free of idle readers and can restart.
    pub(crate) fn release_idle_snapshots(&self) {
        // First, so that a connection that is returned meanwhile ends its snapshot too.
        self.tracker.invalidate();
        self.idle
            .lock()
            .retain_mut(|reader| reader.end_snapshot().is_ok());
    }

    /// Ends every snapshot, and refuses later ones.
    pub(crate) fn close(&self) {
        self.read_permits.close();
        self.hold_permits.close();
        self.expire(Duration::ZERO);
        self.idle.lock().clear();
    }

    fn put_back(&self, mut reader: Reader) {
        let is_current = reader
            .snapshot
            .is_some_and(|snapshot| self.tracker.is_current(&snapshot));
        // A connection whose transaction does not end is useless.
        let is_usable = is_current || reader.end_snapshot().is_ok();
        let mut idle = self.idle.lock();
        // Checked under the lock: `close` closes the permits before it empties the list.
        if is_usable && idle.len() < self.max_idle && !self.read_permits.is_closed() {
            idle.push(reader);
        }
    }
}

impl PooledReader {
    /// Reads on the connection.
    ///
    /// # Errors
    /// [`StoreError::SnapshotExpired`] if the pool has taken the connection away.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut reader = self.reader.lock();
        let result = read(&reader.as_ref().ok_or(StoreError::SnapshotExpired)?.conn);
        // SeqCst: see `expire_if`.
        if self.is_expired.load(Ordering::SeqCst) {
            self.end(&mut reader);
        }
        result
    }

    fn end(&self, reader: &mut Option<Reader>) {
        if let Some(reader) = reader.take() {
            self.pool.put_back(reader);
        }
    }
}

impl Drop for PooledReader {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.get_mut().take() {
            self.pool.put_back(reader);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::fixture::{Database, database};

    fn pool_of(database: &Database, options: &SqliteOptions) -> Arc<ReaderPool> {
        let tracker = Arc::new(CommitTracker::at(Timestamp::MIN));
        ReaderPool::new(database.path.clone(), tracker, options)
    }

    /// Returns, for each idle connection, whether a snapshot is open on it.
    fn idle_snapshots(pool: &ReaderPool) -> Vec<bool> {
        let idle = pool.idle.lock();
        idle.iter()
            .map(|reader| reader.snapshot.is_some())
            .collect()
    }

    #[tokio::test]
    async fn returned_snapshot_is_reused_until_a_commit() {
        let database = database();
        let options = SqliteOptions {
            readers: 2,
            ..SqliteOptions::default()
        };
        let pool = pool_of(&database, &options);
        drop(pool.acquire(Purpose::Read).await.unwrap());
        assert_eq!(idle_snapshots(&pool), [true]);

        let acquired = pool.acquire(Purpose::Read).await.unwrap();
        pool.tracker.invalidate();
        drop(acquired);
        assert_eq!(
            idle_snapshots(&pool),
            [false],
            "outdated snapshots end when they are returned"
        );

        drop(pool.acquire(Purpose::Read).await.unwrap());
        pool.tracker.invalidate();
        assert_eq!(idle_snapshots(&pool), [true]);
        let acquired = pool.acquire(Purpose::Read).await.unwrap();
        assert_eq!(acquired.last, Timestamp::MIN);
        drop(acquired);
        assert_eq!(idle_snapshots(&pool), [true]);

        let acquired = pool.acquire(Purpose::Read).await.unwrap();
        drop(pool.acquire(Purpose::Read).await.unwrap());
        pool.release_idle_snapshots();
        assert_eq!(idle_snapshots(&pool), [false]);
        drop(acquired);
        assert_eq!(idle_snapshots(&pool), [false, false]);
    }

    /// Held snapshots have permits of their own: with those of reads, sixteen held snapshots would
    /// make every query wait.
    #[tokio::test]
    async fn held_snapshots_take_no_connection_from_reads_and_can_end_alone() {
        let database = database();
        let options = SqliteOptions {
            readers: 2,
            held_snapshots: 5,
            max_wait: Duration::from_millis(1),
            ..SqliteOptions::default()
        };
        let pool = pool_of(&database, &options);
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(pool.acquire(Purpose::Hold).await.unwrap());
        }
        let sixth = pool.acquire(Purpose::Hold).await.err();
        assert!(matches!(sixth, Some(StoreError::Busy { .. })));
        let read = pool.acquire(Purpose::Read).await.unwrap();

        let is_open = |pooled: &PooledReader| pooled.read(|_| Ok(())).is_ok();
        assert!(held.iter().all(|pooled| is_open(pooled)));
        pool.expire_held(Duration::ZERO);
        assert!(!held.iter().any(|pooled| is_open(pooled)));
        assert!(is_open(&read));

        drop(held);
        drop(read);
        let idle = pool.idle.lock().len();
        assert_eq!(idle, 2, "connections that are not needed are closed");
    }
}
