use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use lentil_store::{
    Catalog, CommitObserver, Progress, Snapshot, Store, StoreError, TableDeclaration, Timestamp,
    Transaction,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::SqliteOptions;
use crate::Verification;
use crate::checkpoint::{self, Ticker};
use crate::connection;
use crate::group_commit::committer::{self, Signal};
use crate::group_commit::durability::Publication;
use crate::group_commit::policy::Pace;
use crate::group_commit::writer::Writer;
use crate::maintain;
use crate::open::database::{self, Opened};
use crate::open::error::{OpenError, refused};
use crate::snapshots::commit_tracker::Frontier;
use crate::snapshots::reader_pool::{Pool, Purpose};
use crate::snapshots::snapshot::SqliteSnapshot;
use crate::transaction::SqliteTransaction;
use crate::verify;

/// The store on SQLite.
pub struct SqliteStore {
    shared: Arc<Shared>,
    ticker: Arc<Ticker>,
    threads: Mutex<Vec<Worker>>,
    /// Keeps other servers out for as long as the store lives.
    lock: Mutex<Option<File>>,
}

/// A thread, and what came of closing what it looked after.
type Worker = JoinHandle<Result<(), StoreError>>;

pub(crate) struct Shared {
    pub(crate) path: PathBuf,
    pub(crate) options: SqliteOptions,
    pub(crate) writer: Arc<tokio::sync::Mutex<Writer>>,
    pub(crate) signal: Arc<Signal>,
    pub(crate) frontier: Arc<Frontier>,
    pub(crate) published: Publication,
    pub(crate) observer: OnceLock<Arc<dyn CommitObserver>>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) catalog: RwLock<Arc<Catalog>>,
    turn: Arc<Semaphore>,
    /// How many mutations wait for the turn.
    waiting: AtomicUsize,
    /// The number of the last batch that was asked to be committed.
    closed: AtomicU64,
    pub(crate) pace: Pace,
}

impl SqliteStore {
    /// Opens the database in `folder`, or makes one, and the folder, if there is none.
    ///
    /// # Errors
    /// As [`OpenError`] says; a database that is refused is left as it was.
    pub fn open(folder: &Path, options: SqliteOptions) -> Result<SqliteStore, OpenError> {
        let Opened {
            path,
            writer,
            wal,
            catalog,
            last,
            base,
            lock,
        } = database::open(folder, &options)?;
        let to_file_error = |error| refused(&path, error);
        let checkpointer = connection::writer(&path).map_err(to_file_error)?;
        let writer = Writer::new(path.clone(), writer, wal, last, base).map_err(to_file_error)?;
        let (signal, ticker) = (Arc::new(Signal::default()), Arc::new(Ticker::default()));
        let frontier = Arc::new(Frontier::at(last));
        let shared = Arc::new(Shared {
            pool: Pool::new(path.clone(), Arc::clone(&frontier), &options),
            frontier,
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            signal: Arc::clone(&signal),
            published: Publication::up_to(last),
            observer: OnceLock::new(),
            catalog: RwLock::new(Arc::new(catalog)),
            turn: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
            closed: AtomicU64::new(0),
            pace: Pace::default(),
            path,
            options,
        });
        let store = SqliteStore {
            ticker: Arc::clone(&ticker),
            threads: Mutex::default(),
            lock: Mutex::new(Some(lock)),
            shared: Arc::clone(&shared),
        };
        // The store looks after the threads, and not the other way round.
        let (to_commit, to_check) = (Arc::downgrade(&shared), Arc::downgrade(&shared));
        let (to_verify, verifying) = (Arc::downgrade(&shared), Arc::clone(&ticker));
        store.spawn("checkpoint", move || {
            checkpoint::run(&ticker, &to_check, checkpointer)
        })?;
        store.spawn("verify", move || verify::watch(&verifying, &to_verify))?;
        store.spawn("committer", move || committer::run(&signal, &to_commit))?;
        Ok(store)
    }

    /// Compares all documents with their checksums, and documents with index entries, now and without pauses.
    ///
    /// The store does the same in the background ([`SqliteOptions::verify_delay`]), and logs what it finds.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn verify(&self) -> Result<Verification, StoreError> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || verify::verify(&shared, &|_| true));
        let done = done
            .await
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(done?.unwrap_or_default())
    }

    fn spawn(
        &self,
        name: &str,
        run: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), OpenError> {
        let thread = std::thread::Builder::new()
            .name(format!("sqlite-{name}"))
            .spawn(run);
        self.threads.lock().push(thread.map_err(OpenError::Thread)?);
        Ok(())
    }

    /// Refuses what comes later, and has the threads commit and close what there is.
    fn stop(&self) -> Vec<Worker> {
        self.shared.turn.close();
        self.shared.pool.close();
        self.ticker.stop();
        self.shared.signal.stop();
        self.threads.lock().drain(..).collect()
    }
}

/// Waits for threads to end; returns the first failure.
fn join(threads: Vec<Worker>) -> Result<(), StoreError> {
    let panicked = |_| {
        Err(StoreError::Failed(
            "a thread of the store panicked".to_owned(),
        ))
    };
    let ended: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap_or_else(panicked))
        .collect();
    ended.into_iter().collect()
}

impl Shared {
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read())
    }

    /// Waits for the turn to write, in order.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        if let Ok(turn) = Arc::clone(&self.turn).try_acquire_owned() {
            return Ok(turn);
        }
        let _waiting = Waiting::new(&self.waiting);
        let turn = Arc::clone(&self.turn).acquire_owned();
        match tokio::time::timeout(self.options.max_wait, turn).await {
            Ok(turn) => turn.map_err(|_| StoreError::Closed),
            Err(_) => Err(StoreError::Busy {
                waited: self.options.max_wait,
            }),
        }
    }

    /// Returns whether no mutation waits for the turn.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }

    /// Has the batch of this number committed. It is asked for once: of the many that were in it each may find that
    /// nobody waits, and the committer would wake for each.
    pub(crate) fn close_batch(&self, number: u64) {
        if self.note_closed(number) {
            self.signal.close_batch();
        }
    }

    /// Returns whether the batch of this number is committed, or about to be.
    pub(crate) fn is_closed(&self, number: u64) -> bool {
        self.closed.load(Ordering::SeqCst) >= number
    }

    /// Notes that the batch of this number needs nobody to ask for its commit any more; whether it did until now.
    pub(crate) fn note_closed(&self, number: u64) -> bool {
        self.closed.fetch_max(number, Ordering::SeqCst) < number
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
        Ok(Box::new(SqliteSnapshot {
            lease: self.shared.pool.lend(Purpose::Read).await?,
        }))
    }

    async fn held_snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        Ok(Box::new(SqliteSnapshot {
            lease: self.shared.pool.lend(Purpose::Hold).await?,
        }))
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let turn = self.shared.turn().await?;
        let transaction = SqliteTransaction::begin(Arc::clone(&self.shared), turn).await?;
        Ok(Box::new(transaction))
    }

    fn observe(&self, observer: Arc<dyn CommitObserver>) {
        assert!(
            self.shared.observer.set(observer).is_ok(),
            "a store has one observer"
        );
    }

    fn published(&self) -> Timestamp {
        self.shared.published.timestamp()
    }

    async fn wait_published(&self, timestamp: Timestamp) -> Result<(), StoreError> {
        self.shared.published.wait(timestamp).await
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.shared.catalog()
    }

    async fn declare(&self, tables: &[TableDeclaration]) -> Result<Arc<Catalog>, StoreError> {
        let tables = tables.to_vec();
        self.shared
            .alone(move |shared, writer| maintain::declare(shared, writer, &tables))
            .await
    }

    async fn maintain(&self, batch: usize) -> Result<Option<Progress>, StoreError> {
        self.shared
            .alone(move |shared, writer| maintain::step(shared, writer, batch))
            .await
    }

    async fn close(&self) -> Result<(), StoreError> {
        // The one that has the turn may finish; those that come later are refused.
        let turn = self.shared.turn().await;
        let threads = self.stop();
        drop(turn);
        let joined = tokio::task::spawn_blocking(move || join(threads)).await;
        self.lock.lock().take();
        joined.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Err(error) = join(self.stop()) {
            tracing::warn!(%error, "the store was not closed well; what was acknowledged is in its log");
        }
    }
}

#[cfg(test)]
mod tests {
    use lentil_store::conformance::{TestStore, suite};

    use crate::SqliteOptions;
    use crate::SqliteStore;

    suite!(|clock| async move {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = SqliteOptions {
            clock,
            ..SqliteOptions::default()
        };
        let store = SqliteStore::open(folder.path(), options).expect("a fresh store opens");
        TestStore::keeping(store, folder)
    });
}
