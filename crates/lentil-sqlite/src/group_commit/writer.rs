use std::sync::Arc;
use std::time::Duration;

use lentil_store::{StoreError, Timestamp, WriteSet};
use rusqlite::{Connection, ErrorCode};

use super::batch::Batch;
use super::write_connection::{self, WriteConnection};
use crate::connection::run;
use crate::error::store_error;
use crate::snapshots::{CommitProbe, CommitTracker};
use crate::tables::foreign::ForeignTables;
use crate::tables::{format, write_set};
use crate::wal::acknowledged::Note;
use crate::wal::checkpoint::{self, CheckpointState};
use crate::wal::log::Wal;

/// The only connection that writes, and the batch that is open on it.
pub(crate) struct Writer {
    connection: WriteConnection,
    checkpoints: CheckpointState,
    tracker: Arc<CommitTracker>,
    /// The timestamp lease that the start has copied into the database file.
    base: Timestamp,
    epoch: u64,
    batch: Option<Batch>,
    last_batch: u64,
    applied: Timestamp,
    /// The last commit in the file.
    committed: Timestamp,
    /// The last timestamp of any write set. The timestamps of aborted commits are not used again.
    allotted: Timestamp,
    /// The end of the timestamp lease in the file.
    lease: Timestamp,
    foreign: ForeignTables,
}

/// A batch after COMMIT, before its fsync.
pub(crate) struct CommittedBatch {
    pub(crate) batch: Batch,
    pub(crate) unsynced: Unsynced,
}

/// A commit of the connection before its fsync. It does not borrow the writer, so that the next
/// mutations execute during the fsync.
pub(crate) struct Unsynced {
    wal: Arc<Wal>,
    note: Note,
}

impl Unsynced {
    /// Makes the commit durable. Ends the process if the fsync fails.
    pub(crate) fn make_durable(&self) {
        self.wal.make_durable(&self.note);
    }
}

impl Writer {
    /// Creates the writer of a database whose last commit is at `last`. `base` is the timestamp
    /// lease of the database file without its log.
    pub(crate) fn new(
        connection: WriteConnection,
        tracker: Arc<CommitTracker>,
        last: Timestamp,
        base: Timestamp,
    ) -> Writer {
        Writer {
            connection,
            checkpoints: CheckpointState::default(),
            tracker,
            base,
            epoch: 0,
            batch: None,
            last_batch: 0,
            applied: last,
            committed: last,
            allotted: last,
            lease: last,
            foreign: ForeignTables::default(),
        }
    }

    /// Returns the connection; opens a new one after an abort.
    pub(crate) fn conn(&mut self) -> Result<&Connection, StoreError> {
        if !self.connection.is_open() {
            self.connection.reopen()?;
            // While no connection was open, checkpoints were not counted.
            self.checkpoints.note_other_end();
        }
        self.connection.get()
    }

    /// Returns whether the connection is open. An abort closes it.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Returns a number that increases when batches are aborted or another program has changed the
    /// database. Then the reads of a transaction that began before must not be used.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the last commit that is applied and not aborted: a transaction that begins now reads
    /// it.
    pub(crate) fn applied(&self) -> Timestamp {
        self.applied
    }

    /// Returns the last commit in the file.
    pub(crate) fn committed(&self) -> Timestamp {
        self.committed
    }

    /// Returns the open batch.
    pub(crate) fn batch(&mut self) -> Option<&mut Batch> {
        self.batch.as_mut()
    }

    /// Ends the process if a file of the database was removed or replaced.
    pub(crate) fn check_files(&self) {
        self.connection.check_files();
    }

    pub(crate) fn checkpoints(&mut self) -> &mut CheckpointState {
        &mut self.checkpoints
    }

    /// Opens a batch unless one is open; returns its number. Returns `None` while another program
    /// writes.
    pub(crate) fn open_batch(&mut self) -> Result<Option<u64>, StoreError> {
        if let Some(batch) = &self.batch {
            return Ok(Some(batch.number));
        }
        match write_connection::begin(self.conn()?) {
            Ok(()) => {
                self.last_batch += 1;
                self.batch = Some(Batch::open(self.last_batch));
                Ok(Some(self.last_batch))
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(None),
            Err(error) => Err(store_error(error)),
        }
    }

    /// Applies a write set in the open batch. A failure undoes only this write set, unless SQLite
    /// has ended the whole batch ([`Writer::has_lost_batch`]).
    pub(crate) fn apply(
        &mut self,
        writes: WriteSet,
        now: Timestamp,
    ) -> rusqlite::Result<Timestamp> {
        let conn = self.connection.get_open();
        let batch = self.batch.as_mut().expect("a batch is open");
        let foreign = &mut self.foreign;
        let bytes = write_set::apply(conn, foreign, &writes)
            .inspect_err(|_| redo(conn, foreign, &batch.commits))?;
        self.allotted = self.allotted.next(now);
        self.applied = self.allotted;
        batch.push(self.applied, writes, bytes);
        Ok(self.applied)
    }

    /// Commits the open batch. Returns `None` if no batch is open or nothing was applied.
    pub(crate) fn commit(&mut self) -> rusqlite::Result<Option<CommittedBatch>> {
        self.end_empty_batch();
        let Some(batch) = &self.batch else {
            return Ok(None);
        };
        debug_assert!(
            self.committed < self.applied,
            "the batch has applied something"
        );
        let conn = self.connection.get_open();
        // Most commits write no lease: that would be one more page each.
        let keeps_lease = self.applied <= self.lease && !self.checkpoints.requires_lease();
        let probe = CommitProbe::document(&batch.commits).filter(|_| keeps_lease);
        let (probe, lease) = match probe {
            Some(probe) => (probe, self.lease),
            None => CommitProbe::extend_lease(conn, self.applied)?,
        };
        self.tracker.commit(conn, self.applied, probe)?;
        self.committed = self.applied;
        if self.lease != lease {
            self.lease = lease;
            self.checkpoints.lease_extended();
        }
        debug_assert!(self.committed <= self.lease, "no commit exceeds the lease");

        let unsynced = self.unsynced();
        let batch = self.batch.take();
        Ok(batch.map(|batch| CommittedBatch { batch, unsynced }))
    }

    /// Returns the connection's last commit.
    pub(crate) fn unsynced(&mut self) -> Unsynced {
        let end = self.connection.log_end();
        Unsynced {
            wal: self.connection.wal(),
            note: Note {
                end,
                copied: self.checkpoints.copied(&end),
                lease: self.lease,
                base: self.base,
            },
        }
    }

    /// Runs `work` in a separate SQLite transaction, which is durable when this returns. No batch
    /// may be open.
    pub(crate) fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        debug_assert!(self.batch.is_none(), "SQLite has no nested transactions");
        let tracker = Arc::clone(&self.tracker);
        let conn = self.conn()?;
        conn.execute_batch("BEGIN IMMEDIATE").map_err(store_error)?;
        let result = work(conn).and_then(|result| {
            conn.execute_batch("COMMIT").map_err(store_error)?;
            Ok(result)
        });
        // A reused snapshot from before would not match the new catalog.
        tracker.invalidate();
        if result.is_err() && !conn.is_autocommit() {
            conn.execute_batch("ROLLBACK").map_err(store_error)?;
        }
        if result.is_ok() {
            self.unsynced().make_durable();
        }
        result
    }

    /// Returns whether another program has, or may have, committed since
    /// [`Writer::accept_outside_changes`].
    pub(crate) fn is_changed_outside(&mut self) -> Result<bool, StoreError> {
        self.conn()?;
        self.connection.is_changed_outside()
    }

    /// Accepts the state of the database as the base of later checks. Returns a timestamp for the
    /// changes before it.
    ///
    /// A transaction that executes now may have read the state before the changes, so the epoch
    /// increases and it must execute again. The other program may have restored a copy with an
    /// older timestamp lease, so the next commit extends the lease.
    pub(crate) fn accept_outside_changes(&mut self, now: Timestamp) -> rusqlite::Result<Timestamp> {
        self.connection.accept_outside_changes()?;
        self.lease = format::read_timestamp_lease(self.connection.get_open())?;
        self.checkpoints.note_other_end();
        self.epoch += 1;
        self.allotted = self.allotted.next(now);
        self.applied = self.allotted;
        self.committed = self.allotted;
        self.tracker.advance(self.committed);
        Ok(self.committed)
    }

    /// Returns whether SQLite has rolled back the open batch by itself, as it does when the disk is
    /// full.
    pub(crate) fn has_lost_batch(&self) -> bool {
        self.batch.is_some() && !self.connection.is_in_transaction()
    }

    /// Rolls back a batch to which nothing was applied.
    pub(crate) fn end_empty_batch(&mut self) {
        let empty = self.batch.take_if(|batch| batch.commits.is_empty());
        if empty.is_some() {
            self.connection.roll_back();
        }
    }

    /// Rolls back the open batch and closes the connection. Later transactions begin from the last
    /// commit.
    pub(crate) fn abort_batch(&mut self) -> Option<Batch> {
        self.epoch += 1;
        self.applied = self.committed;
        // The cache may know foreign documents of the aborted commits.
        self.foreign = ForeignTables::default();
        self.connection.roll_back();
        // A new connection has no cached pages from before the failure.
        self.connection.disconnect();
        self.batch.take()
    }

    /// Restarts the log if the snapshots that read it end within `timeout`.
    pub(crate) fn restart_log(&mut self, limit: u64, timeout: Duration) -> Result<(), StoreError> {
        self.checkpoints.note_other_end();
        checkpoint::restart_log(self.conn()?, limit, timeout)
    }

    /// Empties the log if possible, and closes the connection.
    pub(crate) fn close(&mut self) -> Result<(), StoreError> {
        debug_assert!(self.batch.is_none(), "the last batch was committed");
        self.connection.close()
    }
}

/// Undoes a write set that was applied in part: rolls back the batch, and applies its other write
/// sets again. If that fails too, the whole batch is rolled back.
///
/// A savepoint before each write set would undo it alone. But with savepoints SQLite copies every
/// page that a write set changes, and write sets fail only when the disk or the file does.
fn redo(conn: &Connection, foreign: &mut ForeignTables, commits: &[(Timestamp, WriteSet)]) {
    *foreign = ForeignTables::default();
    if conn.is_autocommit() {
        return;
    }
    if try_redo(conn, foreign, commits).is_err() && !conn.is_autocommit() {
        // If this fails too, the connection stays in the transaction with a part of the batch.
        let _ = run(conn, "ROLLBACK");
    }
}

fn try_redo(
    conn: &Connection,
    foreign: &mut ForeignTables,
    commits: &[(Timestamp, WriteSet)],
) -> rusqlite::Result<()> {
    run(conn, "ROLLBACK")?;
    write_connection::begin(conn)?;
    for (_, writes) in commits {
        write_set::apply(conn, foreign, writes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lentil_store::DocumentWrite;

    use super::*;
    use crate::files;
    use crate::tables::fixture::{Database, database, document};
    use crate::wal::acknowledged::NoteFile;
    use crate::wal::checkpoint::Mode;

    /// The timestamp lease in the database file of [`writer`].
    const BASE: Timestamp = Timestamp::MIN;

    fn writer(database: Database) -> (tempfile::TempDir, Writer) {
        let Database { folder, path, conn } = database;
        assert!(checkpoint::copy_all(&conn, Mode::Passive).unwrap());
        std::fs::write(files::lock(&path), "").unwrap();
        let notes = Arc::new(NoteFile::open(&path).unwrap());
        let wal = Wal::of(&conn, &path, notes).unwrap();
        let connection = WriteConnection::new(path, conn, wal).unwrap();
        let tracker = Arc::new(CommitTracker::at(BASE));
        (folder, Writer::new(connection, tracker, BASE, BASE))
    }

    /// Returns a write set that inserts documents of these creation times.
    fn inserting(times: &[u64]) -> WriteSet {
        let mut writes = Vec::new();
        for time in times {
            let new = document(*time, 0);
            writes.push(DocumentWrite {
                id: new.id,
                old: None,
                new: Some(new),
                keys: Vec::new(),
            });
        }
        WriteSet { writes }
    }

    /// Without savepoints SQLite keeps the part of a write set that it applied before the failure.
    #[test]
    fn failed_write_set_leaves_nothing_and_its_batch_stays() {
        let (_folder, mut writer) = writer(database());
        assert_eq!(writer.open_batch().unwrap(), Some(1));
        let first = writer.apply(inserting(&[1, 2]), BASE).unwrap();
        // SQLite inserts 3 before it finds that 2 exists.
        assert!(writer.apply(inserting(&[3, 2]), BASE).is_err());
        assert!(!writer.has_lost_batch());
        assert_eq!(writer.applied(), first);
        writer.apply(inserting(&[4]), BASE).unwrap();
        writer.commit().unwrap();

        let times = "SELECT group_concat(json ->> '$._creationTime') FROM _documents_10001";
        let conn = writer.conn().unwrap();
        let times: String = conn.query_row(times, [], |row| row.get(0)).unwrap();
        assert_eq!(times, "1.0,2.0,4.0");
    }

    /// Without this a start could not tell a lost log from a log that was copied and emptied.
    #[test]
    fn notes_name_a_lease_that_the_database_without_the_log_has_not() {
        let (folder, mut writer) = writer(database());
        let mut time = 0;
        let mut note_of_next = |writer: &mut Writer| {
            time += 1;
            writer.open_batch().unwrap();
            // The clock stands still.
            writer.apply(inserting(&[time]), BASE).unwrap();
            writer.commit().unwrap().unwrap().unsynced.note
        };
        let path = folder.path().join(files::DATABASE);
        let lease_without_log = || {
            let copy = folder.path().join("copy");
            std::fs::copy(&path, &copy).unwrap();
            format::read_timestamp_lease(&Connection::open(&copy).unwrap()).unwrap()
        };
        let first = note_of_next(&mut writer);
        assert!(first.lease > lease_without_log());
        assert_eq!(first.base, BASE);
        assert_eq!(note_of_next(&mut writer).lease, first.lease);

        assert!(checkpoint::copy_all(writer.conn().unwrap(), Mode::Passive).unwrap());
        writer.checkpoints().note_other_end();
        assert_eq!(lease_without_log(), first.lease);
        let after = note_of_next(&mut writer);
        assert!(after.lease > first.lease, "only the log holds this commit");
        assert_eq!(note_of_next(&mut writer).lease, after.lease);
    }
}
