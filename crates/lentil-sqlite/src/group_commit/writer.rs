use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use lentil_store::{StoreError, Timestamp, WriteSet};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use crate::SqliteOptions;
use crate::checkpoint::Checkpoints;
use crate::connection::{self, BUSY_TIMEOUT, run};
use crate::error::store_error;
use crate::snapshots::commit_tracker::{Frontier, Mark};
use crate::tables::foreign::ForeignTables;
use crate::tables::format;
use crate::tables::write_set;
use crate::wal::acknowledged::Note;
use crate::wal::log::Wal;

/// The one connection that writes, and the batch that is open on it.
pub(crate) struct Writer {
    path: PathBuf,
    /// `None` after a batch was lost, until it is needed again.
    conn: Option<Connection>,
    /// The log that the connection writes.
    wal: Arc<Wal>,
    /// The number of frames in the log after the connection's last commit.
    frames: Arc<AtomicU32>,
    checkpoints: Checkpoints,
    /// The version of the database, which other connections' commits change. `None` if such a commit may have been missed.
    data_version: Option<i64>,
    /// The ceiling that the start has copied into the database.
    base: Timestamp,
    is_closed: bool,
    /// Counts the batches that were lost: what a transaction read before is then not to be trusted.
    pub(crate) epoch: u64,
    pub(crate) batch: Option<Batch>,
    batches: u64,
    /// The last commit that is applied and not lost: what a transaction that begins now sees.
    pub(crate) applied: Timestamp,
    /// The last commit that is in the file.
    pub(crate) committed: Timestamp,
    /// The last timestamp handed out; a lost commit's is not handed out again.
    allotted: Timestamp,
    /// The ceiling of timestamps that is in the file.
    ceiling: Timestamp,
    foreign: ForeignTables,
}

/// Mutations that share one SQLite transaction, and its outcome.
pub(crate) struct Batch {
    /// Later batches have greater numbers.
    pub(crate) number: u64,
    pub(crate) began: Instant,
    /// What was applied, in order.
    pub(crate) commits: Vec<(Timestamp, WriteSet)>,
    pub(crate) bytes: usize,
    /// The note to write once the batch is durable; set by COMMIT.
    pub(crate) note: Note,
    /// Those who wait for what becomes of it.
    pub(crate) waiting: Vec<oneshot::Sender<Outcome>>,
}

/// What became of a batch: durable and published, or lost and why.
pub(crate) type Outcome = Result<(), String>;

impl Writer {
    /// A writer to the database as it was opened.
    ///
    /// Its last commit is at `last`, and the ceiling in the database without its log is `base`.
    pub(crate) fn new(
        path: PathBuf,
        mut conn: Connection,
        wal: Wal,
        last: Timestamp,
        base: Timestamp,
    ) -> rusqlite::Result<Writer> {
        let frames = connection::count_frames(&mut conn)?;
        Ok(Writer {
            path,
            data_version: Some(connection::data_version(&conn)?),
            conn: Some(conn),
            wal: Arc::new(wal),
            frames,
            checkpoints: Checkpoints::default(),
            base,
            is_closed: false,
            epoch: 0,
            batch: None,
            batches: 0,
            applied: last,
            committed: last,
            allotted: last,
            ceiling: last,
            foreign: ForeignTables::default(),
        })
    }

    /// The connection, opened anew if it was given up.
    pub(crate) fn conn(&mut self) -> Result<&Connection, StoreError> {
        if self.is_closed {
            return Err(StoreError::Closed);
        }
        if self.conn.is_none() {
            let mut conn = connection::writer(&self.path).map_err(store_error)?;
            // Reading makes it open its log.
            format::read_version(&conn).map_err(store_error)?;
            connection::sync_no_commits(&conn).map_err(store_error)?;
            self.frames = connection::count_frames(&mut conn).map_err(store_error)?;
            let wal = Wal::of(&conn, &self.path, self.wal.acknowledged());
            let wal = wal.map_err(|error| StoreError::Failed(error.to_string()))?;
            // The new connection must not have opened other files than the one before.
            self.wal.check_files();
            self.wal = Arc::new(wal);
            self.checkpoints.note_end();
            self.data_version = None;
            self.conn = Some(conn);
        }
        Ok(self.conn.as_ref().expect("it was just opened"))
    }

    /// Where the database is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The log that has what was committed.
    pub(crate) fn wal(&self) -> Arc<Wal> {
        Arc::clone(&self.wal)
    }

    /// Begins a batch if none is open, and returns the number of the one that is; `None` while another program is
    /// writing.
    pub(crate) fn begin_batch(&mut self) -> Result<Option<u64>, StoreError> {
        if let Some(batch) = &self.batch {
            return Ok(Some(batch.number));
        }
        match begin(self.conn()?) {
            Ok(()) => {
                self.batches += 1;
                self.batch = Some(Batch::begin(self.batches));
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                return Ok(None);
            }
            Err(error) => return Err(store_error(error)),
        }
        Ok(Some(self.batches))
    }

    /// Applies a write set in the open batch. A failure undoes just this write set, unless the batch is lost with it
    /// ([`Writer::has_lost_batch`]).
    pub(crate) fn apply(
        &mut self,
        writes: WriteSet,
        now: Timestamp,
    ) -> rusqlite::Result<Timestamp> {
        let conn = self.conn.as_ref().expect("a batch is open on it");
        let batch = self.batch.as_mut().expect("a batch was begun");
        let foreign = &mut self.foreign;
        batch.bytes += write_set::apply(conn, foreign, &writes)
            .inspect_err(|_| begin_anew(conn, foreign, &batch.commits))?;
        self.allotted = self.allotted.next(now);
        self.applied = self.allotted;
        batch.commits.push((self.applied, writes));
        Ok(self.applied)
    }

    /// Commits what the open batch applied. It is durable when the log is.
    pub(crate) fn commit(&mut self, frontier: &Frontier) -> rusqlite::Result<()> {
        let conn = self.conn.as_ref().expect("a batch is open on it");
        let commits = self.batch.as_ref().map_or(&[][..], |batch| &batch.commits);
        let keeps_ceiling = self.applied <= self.ceiling && !self.checkpoints.raise_ceiling();
        let (mark, ceiling) = match Mark::document(commits).filter(|_| keeps_ceiling) {
            Some(mark) => (mark, self.ceiling),
            None => Mark::ceiling(conn, self.applied)?,
        };
        frontier.commit(conn, self.applied, mark)?;
        self.committed = self.applied;
        if self.ceiling != ceiling {
            self.ceiling = ceiling;
            self.checkpoints.ceiling_was_raised();
        }
        let note = self.note();
        if let Some(batch) = &mut self.batch {
            batch.note = note;
        }
        Ok(())
    }

    /// Returns whether the connection is open, and not given up with a lost batch.
    pub(crate) fn is_open(&self) -> bool {
        self.conn.is_some()
    }

    /// Returns whether another program has committed since [`Writer::accept_outside_changes`], or may have.
    pub(crate) fn is_changed_outside(&mut self) -> Result<bool, StoreError> {
        let version = connection::data_version(self.conn()?).map_err(store_error)?;
        Ok(self.data_version != Some(version))
    }

    /// Accepts the state that the connection sees now as the base for later checks. Returns a timestamp for the changes
    /// before.
    ///
    /// A transaction that runs now may have read the state before them, so it must run again. They may have lowered the
    /// ceiling, when the other program has restored a copy, so the next commit raises it.
    pub(crate) fn accept_outside_changes(&mut self, now: Timestamp) -> rusqlite::Result<Timestamp> {
        let conn = self.conn.as_ref().expect("it has just been used");
        self.data_version = Some(connection::data_version(conn)?);
        self.ceiling = format::read_timestamp_lease(conn)?;
        self.checkpoints.note_end();
        self.epoch += 1;
        self.allotted = self.allotted.next(now);
        self.applied = self.allotted;
        self.committed = self.allotted;
        Ok(self.allotted)
    }

    /// Returns the note on the commit that the connection has just made, to be written once it is durable.
    pub(crate) fn note(&mut self) -> Note {
        let end = self.wal.end(self.frames.load(Ordering::Relaxed));
        Note {
            end,
            copied: self.checkpoints.copied(&end),
            ceiling: self.ceiling,
            base: self.base,
        }
    }

    /// Returns the state of checkpoints.
    pub(crate) fn checkpoints(&mut self) -> &mut Checkpoints {
        &mut self.checkpoints
    }

    /// Returns whether SQLite has ended the batch's transaction by itself, as it does when the disk is full.
    pub(crate) fn has_lost_batch(&self) -> bool {
        self.batch.is_some() && self.conn.as_ref().is_none_or(Connection::is_autocommit)
    }

    /// Ends a batch that nothing was applied to.
    pub(crate) fn end_empty_batch(&mut self) {
        if self
            .batch
            .take_if(|batch| batch.commits.is_empty())
            .is_some()
        {
            self.roll_back();
        }
    }

    /// Gives the open batch up, and the connection with it; what is committed is what there is.
    pub(crate) fn give_up(&mut self) -> Option<Batch> {
        self.epoch += 1;
        self.applied = self.committed;
        self.foreign = ForeignTables::default();
        self.roll_back();
        self.conn = None;
        self.batch.take()
    }

    fn roll_back(&mut self) {
        let conn = self.conn.as_ref().filter(|conn| !conn.is_autocommit());
        if conn.is_some_and(|conn| run(conn, "ROLLBACK").is_err()) {
            self.conn = None;
        }
    }

    /// Closes the connection; the one that is last to close copies the log into the database.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.conn = None;
    }
}

/// Undoes a write set that was applied in part, and makes the others of its batch anew. If even that fails, all that
/// is not yet committed is undone.
///
/// With a savepoint before each write set it would be undone alone; but SQLite then keeps a copy of every page that a
/// write set changes, and no write set fails unless the disk or the file does.
fn begin_anew(conn: &Connection, foreign: &mut ForeignTables, commits: &[(Timestamp, WriteSet)]) {
    *foreign = ForeignTables::default();
    if conn.is_autocommit() {
        return;
    }
    let done = run(conn, "ROLLBACK")
        .and_then(|()| begin(conn))
        .and_then(|()| {
            commits
                .iter()
                .try_for_each(|(_, writes)| write_set::apply(conn, foreign, writes).map(drop))
        });
    if done.is_err() && !conn.is_autocommit() {
        // Whether this fails too shows in `is_autocommit`; the connection is then given up.
        let _ = run(conn, "ROLLBACK");
    }
}

/// Begins to write; it does not wait for another program that does, for this runs where other tasks run too.
fn begin(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(Duration::ZERO)?;
    let began = run(conn, "BEGIN IMMEDIATE");
    conn.busy_timeout(BUSY_TIMEOUT)?;
    began
}

impl Batch {
    fn begin(number: u64) -> Batch {
        Batch {
            number,
            began: Instant::now(),
            commits: Vec::new(),
            bytes: 0,
            note: Note::default(),
            waiting: Vec::new(),
        }
    }

    /// Tells what has become of the batch, once it is known.
    pub(crate) fn outcome(&mut self) -> oneshot::Receiver<Outcome> {
        let (tell, outcome) = oneshot::channel();
        self.waiting.push(tell);
        outcome
    }

    pub(crate) fn is_full(&self, options: &SqliteOptions) -> bool {
        self.commits.len() >= options.batch_commits
            || self.bytes >= options.batch_bytes
            || self.began.elapsed() >= options.batch_time
    }
}

#[cfg(test)]
mod tests {
    use lentil_store::{DocumentWrite, StoredDocument};
    use lentil_values::{DocumentId, InternalId, Object, TableNumber};

    use super::*;
    use crate::open::database::{self, Opened};
    use crate::tables::document_table::DocumentTable;

    /// A write set that inserts documents of these numbers.
    fn inserting(numbers: &[u64]) -> WriteSet {
        let write = |number: &u64| {
            let creation_time = *number as f64;
            let id = DocumentId {
                table: TableNumber::FIRST_USER,
                internal: InternalId::at(creation_time, *number),
            };
            let document = StoredDocument {
                id,
                creation_time,
                fields: Object::new(),
            };
            DocumentWrite {
                id,
                old: None,
                new: Some(Arc::new(document)),
                keys: Vec::new(),
            }
        };
        WriteSet {
            writes: numbers.iter().map(write).collect(),
        }
    }

    #[test]
    fn a_write_set_that_fails_in_part_leaves_nothing_and_the_others_of_its_batch_stay() {
        let folder = tempfile::tempdir().unwrap();
        let Opened {
            path,
            writer,
            wal,
            last,
            base,
            ..
        } = database::open(folder.path(), &SqliteOptions::default()).unwrap();
        DocumentTable(TableNumber::FIRST_USER).create(&writer).unwrap();
        let mut writer = Writer::new(path, writer, wal, last, base).unwrap();
        assert_eq!(writer.begin_batch().unwrap(), Some(1));
        let first = writer.apply(inserting(&[1, 2]), last).unwrap();
        // 3 is in the file when it is found that 2 is there already.
        assert!(writer.apply(inserting(&[3, 2]), last).is_err());
        assert!(!writer.has_lost_batch());
        assert_eq!(writer.applied, first);
        writer.apply(inserting(&[4]), last).unwrap();
        writer.commit(&Frontier::at(last)).unwrap();
        let times = "SELECT group_concat(json ->> '$._creationTime') FROM _documents_10001";
        let times: String = writer
            .conn()
            .unwrap()
            .query_row(times, [], |row| row.get(0))
            .unwrap();
        assert_eq!(times, "1.0,2.0,4.0");
    }

    #[test]
    fn notes_name_a_ceiling_that_the_database_without_the_log_has_not_reached() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::default();
        let opened = database::open(folder.path(), &options).unwrap();
        let (path, base) = (opened.path.clone(), opened.base);
        DocumentTable(TableNumber::FIRST_USER).create(&opened.writer).unwrap();
        let frontier = Frontier::at(opened.last);
        let mut writer =
            Writer::new(opened.path, opened.writer, opened.wal, opened.last, base).unwrap();
        let mut number = 0;
        let mut note_of_next = |writer: &mut Writer| {
            number += 1;
            writer.begin_batch().unwrap();
            // The clock stands still.
            writer.apply(inserting(&[number]), base).unwrap();
            writer.commit(&frontier).unwrap();
            writer.batch.take().unwrap().note
        };
        let ceiling_without_log = || {
            let copy = folder.path().join("copy");
            std::fs::copy(&path, &copy).unwrap();
            format::read_timestamp_lease(&Connection::open(&copy).unwrap()).unwrap()
        };
        let first = note_of_next(&mut writer);
        assert!(first.ceiling > ceiling_without_log() && first.base == base);
        assert_eq!(note_of_next(&mut writer).ceiling, first.ceiling);

        assert!(crate::checkpoint::copy_all(writer.conn().unwrap(), "PASSIVE").unwrap());
        writer.checkpoints().note_end();
        assert_eq!(ceiling_without_log(), first.ceiling);
        let after = note_of_next(&mut writer);
        assert!(
            after.ceiling > first.ceiling,
            "this commit is in the log alone"
        );
        assert_eq!(note_of_next(&mut writer).ceiling, after.ceiling);
    }
}
