use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use lentil_store::{
    Catalog, CommitObserver, Progress, Snapshot, Store, StoreError, TableDeclaration, Timestamp, Transaction,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::checkpoint::{self, Written};
use crate::committer::{self, Signal};
use crate::open::{self, OpenError, Opened};
use crate::pool::Pool;
use crate::snapshot::SqliteSnapshot;
use crate::transaction::SqliteTransaction;
use crate::writer::Writer;
use crate::{SqliteOptions, maintain};

/// The store on SQLite.
pub struct SqliteStore {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Keeps other servers out for as long as the store lives.
    lock: Mutex<Option<File>>,
}

pub(crate) struct Shared {
    pub(crate) path: PathBuf,
    pub(crate) options: SqliteOptions,
    pub(crate) writer: tokio::sync::Mutex<Writer>,
    pub(crate) signal: Arc<Signal>,
    pub(crate) published: watch::Sender<Timestamp>,
    pub(crate) observer: OnceLock<Arc<dyn CommitObserver>>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) written: Arc<Written>,
    pub(crate) catalog: RwLock<Arc<Catalog>>,
    turn: Arc<Semaphore>,
    /// How many mutations wait for the turn.
    waiting: AtomicUsize,
}

impl SqliteStore {
    /// Opens the database in `folder`, or makes one, and the folder, if there is none.
    ///
    /// # Errors
    /// As [`OpenError`] says; a database that is refused is left as it was.
    pub fn open(folder: &Path, options: SqliteOptions) -> Result<SqliteStore, OpenError> {
        let Opened { path, writer, catalog, last, lock } = open::open(folder, &*options.clock)?;
        let signal = Arc::new(Signal::default());
        let written = Arc::new(Written::default());
        let shared = Arc::new(Shared {
            pool: Pool::new(path.clone(), options.readers, options.max_wait),
            writer: tokio::sync::Mutex::new(Writer { conn: writer, epoch: 0, batch: None, last }),
            signal: Arc::clone(&signal),
            published: watch::Sender::new(last),
            observer: OnceLock::new(),
            written: Arc::clone(&written),
            catalog: RwLock::new(Arc::new(catalog)),
            turn: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
            path,
            options,
        });
        let (to_commit, to_check) = (Arc::downgrade(&shared), Arc::downgrade(&shared));
        let threads = vec![
            spawn("committer", move || committer::run(&signal, &to_commit))?,
            spawn("checkpoint", move || checkpoint::run(&written, &to_check))?,
        ];
        Ok(SqliteStore { shared, threads: Mutex::new(threads), lock: Mutex::new(Some(lock)) })
    }

    fn stop_threads(&self) {
        self.shared.signal.stop();
        self.shared.written.stop();
        for thread in self.threads.lock().drain(..) {
            // A thread that panicked has said so; there is nothing more to wait for.
            let _ = thread.join();
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    let thread = std::thread::Builder::new().name(format!("sqlite-{name}")).spawn(run);
    thread.map_err(OpenError::Thread)
}

impl Shared {
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read())
    }

    /// Waits for the turn to write, in order.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let _waiting = Waiting::new(&self.waiting);
        let turn = Arc::clone(&self.turn).acquire_owned();
        match tokio::time::timeout(self.options.max_wait, turn).await {
            Ok(turn) => turn.map_err(|_| StoreError::Closed),
            Err(_) => Err(StoreError::Busy { waited: self.options.max_wait }),
        }
    }

    /// Has the batch committed when no other mutation is about to join it.
    pub(crate) fn close_batch_if_idle(&self) -> bool {
        let is_idle = self.waiting.load(Ordering::SeqCst) == 0;
        if is_idle {
            self.signal.close_batch();
        }
        is_idle
    }

    pub(crate) async fn wait_published(&self, timestamp: Timestamp) -> Result<(), StoreError> {
        let mut published = self.published.subscribe();
        let reached = published.wait_for(|published| *published >= timestamp).await;
        reached.map(drop).map_err(|_| StoreError::Closed)
    }
}

/// One that waits, counted as long as it does.
struct Waiting<'c>(&'c AtomicUsize);

impl<'c> Waiting<'c> {
    fn new(count: &'c AtomicUsize) -> Waiting<'c> {
        count.fetch_add(1, Ordering::SeqCst);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let lease = self.shared.pool.lend().await?;
        Ok(Box::new(SqliteSnapshot::begin(lease, self.shared.catalog())?))
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let turn = self.shared.turn().await?;
        Ok(Box::new(SqliteTransaction::begin(Arc::clone(&self.shared), turn).await))
    }

    fn observe(&self, observer: Arc<dyn CommitObserver>) {
        assert!(self.shared.observer.set(observer).is_ok(), "a store has one observer");
    }

    fn published(&self) -> Timestamp {
        *self.shared.published.borrow()
    }

    async fn wait_published(&self, timestamp: Timestamp) -> Result<(), StoreError> {
        self.shared.wait_published(timestamp).await
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.shared.catalog()
    }

    async fn declare(&self, tables: &[TableDeclaration]) -> Result<Arc<Catalog>, StoreError> {
        let next = Arc::new(self.shared.catalog().declare(tables));
        let declared = Arc::clone(&next);
        self.shared.alone(move |shared, conn| maintain::declare(shared, conn, declared)).await?;
        Ok(next)
    }

    async fn maintain(&self, batch: usize) -> Result<Option<Progress>, StoreError> {
        self.shared.alone(move |shared, conn| maintain::step(shared, conn, batch)).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        // The one that has the turn finishes; those that wait are refused.
        let turn = self.shared.turn().await;
        self.shared.turn.close();
        drop(turn);
        self.shared.signal.close_batch();
        self.stop_threads();
        self.shared.pool.close();
        let shared = Arc::clone(&self.shared);
        let emptied = tokio::task::spawn_blocking(move || checkpoint::empty_wal(&shared.writer.blocking_lock().conn));
        let emptied = emptied.await.map_err(|error| StoreError::Failed(error.to_string()))?;
        self.lock.lock().take();
        emptied
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.stop_threads();
    }
}

#[cfg(test)]
mod tests {
    use lentil_store::conformance::{Made, suite};

    use crate::{SqliteOptions, SqliteStore};

    suite!(|clock| async move {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = SqliteOptions { clock, ..SqliteOptions::default() };
        let store = SqliteStore::open(folder.path(), options).expect("a fresh store opens");
        Made::keeping(store, folder)
    });
}
