use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use lentil_store::{
    Catalog, Clock, CommitObserver, Progress, Snapshot, Store, StoreError, TableDeclaration,
    Timestamp, Transaction,
};
use parking_lot::Mutex;

use crate::catalog::CurrentCatalog;
use crate::checkpointer::Checkpointer;
use crate::error::failed_task;
use crate::group_commit::{Committer, GroupCommit, WriteConnection, Writer};
use crate::open::error::refused;
use crate::open::{self, OpenError, Opened};
use crate::options::SqliteOptions;
use crate::snapshots::{CommitTracker, Purpose, ReaderPool, SqliteSnapshot};
use crate::stop_signal::StopSignal;
use crate::transaction::SqliteTransaction;
use crate::verify::{Verification, Verifier};
use crate::{connection, maintain};

/// The store on SQLite.
pub struct SqliteStore {
    group_commit: Arc<GroupCommit>,
    readers: Arc<ReaderPool>,
    catalog: Arc<CurrentCatalog>,
    clock: Arc<dyn Clock>,
    verifier: Verifier,
    stop: Arc<StopSignal>,
    threads: Mutex<Vec<Thread>>,
    /// Keeps other servers out. Released when the store is closed or dropped.
    lock: Mutex<Option<File>>,
}

/// A background thread, and the result of closing what it owns.
type Thread = JoinHandle<Result<(), StoreError>>;

impl SqliteStore {
    /// Opens the database in `folder`, or creates the folder and a database.
    ///
    /// # Errors
    /// See [`OpenError`]. A database that is refused stays unchanged.
    pub fn open(folder: &Path, options: SqliteOptions) -> Result<SqliteStore, OpenError> {
        let Opened {
            path,
            writer,
            wal,
            catalog,
            last,
            base,
            lock,
        } = open::open(folder, &options)?;
        let refused = |error| refused(&path, error);
        // Before the writer can lose its connection: see `Checkpointer`.
        let checkpoint_conn = connection::writer(&path).map_err(refused)?;
        let connection = WriteConnection::new(path.clone(), writer, wal).map_err(refused)?;

        let tracker = Arc::new(CommitTracker::at(last));
        let readers = ReaderPool::new(path.clone(), Arc::clone(&tracker), &options);
        let writer = Writer::new(connection, tracker, last, base);
        let group_commit = Arc::new(GroupCommit::new(writer, &options));
        let catalog = Arc::new(CurrentCatalog::new(catalog));
        let verifier = Verifier {
            path: path.clone(),
            group_commit: Arc::clone(&group_commit),
            catalog: Arc::clone(&catalog),
        };
        let store = SqliteStore {
            group_commit,
            readers,
            catalog,
            clock: Arc::clone(&options.clock),
            verifier,
            stop: Arc::default(),
            threads: Mutex::default(),
            lock: Mutex::new(Some(lock)),
        };
        store.spawn_threads(path, checkpoint_conn, &options)?;
        Ok(store)
    }

    fn spawn_threads(
        &self,
        path: PathBuf,
        checkpoint_conn: rusqlite::Connection,
        options: &SqliteOptions,
    ) -> Result<(), OpenError> {
        let checkpointer = Checkpointer {
            path,
            conn: checkpoint_conn,
            group_commit: Arc::clone(&self.group_commit),
            readers: Arc::clone(&self.readers),
            snapshot_max_age: options.snapshot_max_age,
            checkpoint_bytes: options.checkpoint_bytes,
            wal_limit: options.wal_limit,
            copied_frames: 0,
        };
        let stop = Arc::clone(&self.stop);
        self.spawn("checkpoint", move || checkpointer.run(&stop))?;

        let verifier = self.verifier.clone();
        let stop = Arc::clone(&self.stop);
        let delay = options.verify_delay;
        let interval = options.verify_interval;
        self.spawn("verify", move || {
            verifier.run(&stop, delay, interval);
            Ok(())
        })?;

        let committer = Committer {
            group_commit: Arc::clone(&self.group_commit),
            readers: Arc::clone(&self.readers),
            catalog: Arc::clone(&self.catalog),
            clock: Arc::clone(&self.clock),
            wal_limit: options.wal_limit,
        };
        self.spawn("committer", move || committer.run())
    }

    fn spawn(
        &self,
        name: &str,
        run: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), OpenError> {
        let thread = std::thread::Builder::new()
            .name(format!("sqlite-{name}"))
            .spawn(run)
            .map_err(OpenError::Thread)?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Compares all documents with their checksums and index entries, now and without pauses.
    ///
    /// The store does the same in the background ([`SqliteOptions::verify_delay`]), and logs the
    /// result.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn verify(&self) -> Result<Verification, StoreError> {
        let verifier = self.verifier.clone();
        let verified = tokio::task::spawn_blocking(move || verifier.verify(&|_| true));
        let verified = verified.await.map_err(failed_task)??;
        Ok(verified.unwrap_or_default())
    }

    /// Refuses later calls, and tells the threads to commit and to end.
    fn stop(&self) -> Vec<Thread> {
        // New mutations first, so that the committer's last batch is the last one. The committer
        // last, because it closes the writer.
        self.group_commit.write_lock.close();
        self.readers.close();
        self.stop.stop();
        self.group_commit.queue.stop();
        std::mem::take(&mut *self.threads.lock())
    }
}

/// Waits for all threads to end; returns the first failure.
fn join(threads: Vec<Thread>) -> Result<(), StoreError> {
    let mut result = Ok(());
    for thread in threads {
        let ended = thread.join().unwrap_or_else(|_| {
            let reason = "a thread of the store panicked";
            Err(StoreError::Failed(reason.to_owned()))
        });
        result = result.and(ended);
    }
    result
}

#[async_trait]
impl Store for SqliteStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let reader = self.readers.acquire(Purpose::Read).await?;
        Ok(Box::new(SqliteSnapshot { reader }))
    }

    async fn held_snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let reader = self.readers.acquire(Purpose::Hold).await?;
        Ok(Box::new(SqliteSnapshot { reader }))
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let transaction = SqliteTransaction::begin(
            Arc::clone(&self.group_commit),
            Arc::clone(&self.catalog),
            Arc::clone(&self.clock),
        );
        Ok(Box::new(transaction.await?))
    }

    fn observe(&self, observer: Arc<dyn CommitObserver>) {
        let is_first = self.group_commit.observer.set(observer).is_ok();
        assert!(is_first, "a store has one observer");
    }

    fn published(&self) -> Timestamp {
        self.group_commit.published.get()
    }

    async fn wait_published(&self, timestamp: Timestamp) -> Result<(), StoreError> {
        self.group_commit.published.wait(timestamp).await
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.catalog.get()
    }

    async fn declare(&self, tables: &[TableDeclaration]) -> Result<Arc<Catalog>, StoreError> {
        let tables = tables.to_vec();
        let catalog = Arc::clone(&self.catalog);
        maintain::exclusively(&self.group_commit, move |writer| {
            maintain::declare(writer, &catalog, &tables)
        })
        .await
    }

    async fn maintain(&self, batch: usize) -> Result<Option<Progress>, StoreError> {
        let catalog = Arc::clone(&self.catalog);
        maintain::exclusively(&self.group_commit, move |writer| {
            maintain::step(writer, &catalog, batch)
        })
        .await
    }

    async fn close(&self) -> Result<(), StoreError> {
        // Waits for the mutation that executes now. If it takes too long, the store closes without
        // it.
        let permit = self.group_commit.write_lock.acquire().await;
        let threads = self.stop();
        drop(permit);
        let joined = tokio::task::spawn_blocking(move || join(threads)).await;
        // After the threads have ended: another server may open the database from here on.
        self.lock.lock().take();
        joined.map_err(failed_task)?
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Err(error) = join(self.stop()) {
            tracing::warn!(
                %error,
                "the store was not closed cleanly; the log holds every acknowledged commit"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use lentil_store::conformance::{TestStore, suite};

    use crate::{SqliteOptions, SqliteStore};

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
