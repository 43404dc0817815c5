//! Finds the last commit that a snapshot contains.
//!
//! SQLite has no API for that. A row with the last timestamp would cost one more page in each
//! commit, and each snapshot would look that page up in a log full of older copies. The tracker
//! works like a *seqlock* instead. The committer increments a version before and after each COMMIT,
//! and a reader compares the versions from before and after its BEGIN.
//!
//! ```text
//! version       4            │ 5                               │ 6
//! committer                  ├─ COMMIT of the batch up to 90 ──┤
//! last commit   80           │ 80, or 90: the probe decides    │ 90
//!
//! snapshot a    ├ BEGIN ┤    │                                 │         4 = 4   ends with 80
//! snapshot b                 │    ├ BEGIN ┤                    │         5 = 5   80 or 90
//! snapshot c                 │                           ├ BEGIN ┤       5 ≠ 6   begins again
//! ```
//!
//! In the case of `b` the COMMIT may take effect before or after the BEGIN. A *probe* decides: the
//! snapshot looks for a change that the batch makes. This is the last document that the batch
//! writes, or, if the batch leaves that document as it was, an extended timestamp lease.
//!
//! The *timestamp lease* is the only timestamp in the file: no commit in the file is later. A
//! commit extends it by a second when it expires, so that most commits do not write it. After a
//! crash timestamps continue from its end.

use std::sync::Arc;
use std::time::Duration;

use lentil_store::{StoreError, StoredDocument, Timestamp, WriteSet};
use lentil_values::DocumentId;
use parking_lot::RwLock;
use rusqlite::Connection;

use crate::connection::run;
use crate::error::store_error;
use crate::tables::{documents, format};

/// The time by which a commit extends the timestamp lease.
const TIMESTAMP_LEASE: Duration = Duration::from_secs(1);

/// Tracks which commits are in the file.
pub(crate) struct CommitTracker(RwLock<State>);

#[derive(Clone)]
struct State {
    /// The last commit in the file, whether it is durable or not.
    last: Timestamp,
    /// The batch whose COMMIT runs.
    in_flight: Option<Arc<InFlight>>,
    /// Incremented when a COMMIT begins or ends, and by every other change that makes older
    /// snapshots outdated.
    version: u64,
}

struct InFlight {
    last: Timestamp,
    probe: CommitProbe,
}

/// A snapshot that has begun on a connection.
#[derive(Clone, Copy)]
pub(crate) struct ReadSnapshot {
    /// The last commit in it.
    pub(crate) last: Timestamp,
    version: u64,
}

impl CommitTracker {
    /// Creates the tracker of a file whose last commit is at `last`.
    pub(crate) fn at(last: Timestamp) -> CommitTracker {
        CommitTracker(RwLock::new(State {
            last,
            in_flight: None,
            version: 0,
        }))
    }

    /// Runs the COMMIT of a batch whose last commit is at `last`.
    pub(crate) fn commit(
        &self,
        conn: &Connection,
        last: Timestamp,
        probe: CommitProbe,
    ) -> rusqlite::Result<()> {
        let in_flight = Arc::new(InFlight { last, probe });
        self.change(|state| {
            debug_assert!(state.in_flight.is_none(), "one connection commits");
            state.in_flight = Some(in_flight);
        });
        let committed = run(conn, "COMMIT");
        self.change(|state| {
            state.in_flight = None;
            if committed.is_ok() {
                debug_assert!(state.last < last, "timestamps increase");
                state.last = last;
            }
        });
        committed
    }

    /// Begins a snapshot on a connection.
    pub(crate) fn begin_snapshot(&self, conn: &Connection) -> Result<ReadSnapshot, StoreError> {
        loop {
            let State {
                last,
                in_flight,
                version,
            } = self.0.read().clone();
            run(conn, "BEGIN").map_err(store_error)?;
            // BEGIN alone takes no snapshot; the first read does.
            format::read_version(conn).map_err(store_error)?;

            let snapshot = ReadSnapshot { last, version };
            if !self.is_current(&snapshot) {
                run(conn, "ROLLBACK").map_err(store_error)?;
                continue;
            }
            let last = match in_flight {
                Some(batch) if batch.probe.is_in(conn)? => batch.last,
                _ => last,
            };
            return Ok(ReadSnapshot { last, version });
        }
    }

    /// Returns whether the file is unchanged since a snapshot began.
    pub(crate) fn is_current(&self, snapshot: &ReadSnapshot) -> bool {
        self.0.read().version == snapshot.version
    }

    /// Sets the timestamp of later snapshots to `last`: another program has changed the file, and
    /// they contain the change.
    pub(crate) fn advance(&self, last: Timestamp) {
        self.change(|state| state.last = last);
    }

    /// Makes every snapshot outdated, so that none is reused.
    pub(crate) fn invalidate(&self) {
        self.change(|_| ());
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.write();
        change(&mut state);
        state.version += 1;
    }
}

/// A change that a batch makes: a snapshot that contains it contains the whole batch.
pub(crate) enum CommitProbe {
    /// The document under this id after the batch; `None` if the batch deletes it.
    Document(DocumentId, Option<Arc<StoredDocument>>),
    /// The end of the extended timestamp lease.
    Lease(Timestamp),
}

impl CommitProbe {
    /// Returns the last document that a batch writes, unless the batch leaves it as it was.
    pub(crate) fn document(commits: &[(Timestamp, WriteSet)]) -> Option<CommitProbe> {
        let last = commits.last()?.1.writes.last()?;
        let first = commits
            .iter()
            .flat_map(|(_, writes)| &writes.writes)
            .find(|write| write.id == last.id)?;
        let before = first.old.as_ref().map(|old| &old.fields);
        let after = last.new.as_ref().map(|new| &new.fields);
        (before != after).then(|| CommitProbe::Document(last.id, last.new.clone()))
    }

    /// Extends the timestamp lease for a commit at `last` and later ones. Returns the probe and the
    /// lease's end.
    pub(crate) fn extend_lease(
        conn: &Connection,
        last: Timestamp,
    ) -> rusqlite::Result<(CommitProbe, Timestamp)> {
        let nanos = last.as_nanos();
        let end = Timestamp::from_nanos(nanos.saturating_add(TIMESTAMP_LEASE.as_nanos() as u64));
        format::write_timestamp_lease(conn, end)?;
        Ok((CommitProbe::Lease(end), end))
    }

    /// Returns whether the snapshot on this connection contains the change.
    fn is_in(&self, conn: &Connection) -> Result<bool, StoreError> {
        match self {
            CommitProbe::Document(id, document) => {
                documents::is_stored(conn, *id, document.as_deref())
            }
            CommitProbe::Lease(end) => {
                let lease = format::read_timestamp_lease(conn).map_err(store_error)?;
                Ok(lease == *end)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lentil_store::DocumentWrite;
    use lentil_values::InternalId;

    use super::*;
    use crate::connection;
    use crate::tables::fixture::{Database, database, document};
    use crate::tables::foreign::ForeignTables;
    use crate::tables::{row, write_set};

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    /// A commit that sets the field `n` of one document from `old` to `new`; `None` is no document.
    fn change(nanos: u64, old: Option<i64>, new: Option<i64>) -> (Timestamp, WriteSet) {
        let write = DocumentWrite {
            id: document(1, 0).id,
            old: old.map(|n| document(1, n)),
            new: new.map(|n| document(1, n)),
            keys: Vec::new(),
        };
        (
            at(nanos),
            WriteSet {
                writes: vec![write],
            },
        )
    }

    fn apply(conn: &Connection, writes: &WriteSet) {
        write_set::apply(conn, &mut ForeignTables::default(), writes).unwrap();
    }

    #[test]
    fn snapshot_contains_a_batch_in_flight_if_its_probe_does() {
        check_probes(None);
    }

    /// The probed document is foreign if another document has its rowid.
    #[test]
    fn snapshot_contains_a_batch_in_flight_if_its_foreign_probe_does() {
        let mut other = (*document(1, 0)).clone();
        other.id.internal = InternalId::at(other.creation_time, 99);
        check_probes(Some(other));
    }

    fn check_probes(stored: Option<StoredDocument>) {
        let Database {
            folder: _folder,
            path,
            conn: writer,
        } = database();
        if let Some(document) = stored {
            let json = row::encode(&document);
            let foreign = &mut ForeignTables::default();
            documents::insert(&writer, foreign, &document, &json).unwrap();
        }
        let reader = connection::reader(&path).unwrap();
        let tracker = CommitTracker::at(at(0));
        let last_in_snapshot = || {
            let snapshot = tracker.begin_snapshot(&reader).unwrap();
            run(&reader, "ROLLBACK").unwrap();
            snapshot.last
        };

        let batches = [
            vec![change(1, None, Some(1))],
            vec![change(2, Some(1), Some(2))],
            vec![change(3, Some(2), Some(3)), change(4, Some(3), Some(4))],
            vec![change(5, Some(4), Some(5)), change(6, Some(5), Some(4))],
            vec![change(7, Some(4), None)],
            vec![change(8, None, Some(1)), change(9, Some(1), None)],
        ];
        let mut before = at(0);
        for (which, commits) in batches.iter().enumerate() {
            run(&writer, "BEGIN IMMEDIATE").unwrap();
            for (_, writes) in commits {
                apply(&writer, writes);
            }
            let last = commits.last().unwrap().0;
            let probe = CommitProbe::document(commits);
            // These batches leave the document as it was, so it cannot be the probe.
            assert_eq!(probe.is_none(), [3, 5].contains(&which));
            let probe = match probe {
                Some(probe) => probe,
                None => CommitProbe::extend_lease(&writer, last).unwrap().0,
            };
            tracker.change(|state| state.in_flight = Some(Arc::new(InFlight { last, probe })));
            assert_eq!(last_in_snapshot(), before);
            run(&writer, "COMMIT").unwrap();
            assert_eq!(last_in_snapshot(), last);
            tracker.change(|state| {
                state.in_flight = None;
                state.last = last;
            });
            assert_eq!(last_in_snapshot(), last);
            before = last;
        }
    }

    #[test]
    fn snapshot_contains_exactly_the_commits_up_to_its_timestamp() {
        const COMMITS: u64 = 5_000;
        let Database {
            folder: _folder,
            path,
            conn: writer,
        } = database();
        // The faster commits are, the more often one begins or ends during a BEGIN.
        writer.pragma_update(None, "synchronous", "OFF").unwrap();
        let reader = connection::reader(&path).unwrap();
        let tracker = &CommitTracker::at(at(0));
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for time in 1..=COMMITS {
                    let new = document(time, 0);
                    let write = DocumentWrite {
                        id: new.id,
                        old: None,
                        new: Some(new),
                        keys: Vec::new(),
                    };
                    let writes = WriteSet {
                        writes: vec![write],
                    };
                    run(&writer, "BEGIN IMMEDIATE").unwrap();
                    apply(&writer, &writes);
                    let probe = CommitProbe::document(&[(at(time), writes)]).unwrap();
                    tracker.commit(&writer, at(time), probe).unwrap();
                }
            });
            let mut last = 0;
            while last < COMMITS {
                last = tracker.begin_snapshot(&reader).unwrap().last.as_nanos();
                let count = "SELECT count(*) FROM _documents_10001";
                let mut count = reader.prepare_cached(count).unwrap();
                let count: i64 = count.query_row([], |row| row.get(0)).unwrap();
                run(&reader, "ROLLBACK").unwrap();
                assert_eq!(count as u64, last);
            }
        });
    }

    #[test]
    fn failed_commit_is_not_in_a_snapshot() {
        let Database {
            folder: _folder,
            conn: writer,
            ..
        } = database();
        let tracker = CommitTracker::at(at(0));
        let probe = || CommitProbe::Document(document(1, 1).id, None);
        let failed = tracker.commit(&writer, at(1), probe());
        assert!(failed.is_err(), "no transaction has begun");
        // This BEGIN is the transaction of the next COMMIT.
        assert_eq!(tracker.begin_snapshot(&writer).unwrap().last, at(0));
        tracker.commit(&writer, at(1), probe()).unwrap();
        assert_eq!(tracker.begin_snapshot(&writer).unwrap().last, at(1));
    }
}
