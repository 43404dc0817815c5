//! Which commit a snapshot ends with.
//!
//! SQLite does not say. A page that said so would be written with every commit, and read with every snapshot out of a
//! log that is full of its older copies. Instead the committer notes here what it is about to commit and that it
//! has, and a snapshot looks before it begins and again after that:
//!
//! ```text
//! no COMMIT meanwhile                 it ends with the last one
//! the same COMMIT all the while       the batch's mark, something that the batch changes in the file, is there or not
//! else                                it begins anew
//! ```
//!
//! What the file keeps is a *ceiling*: a timestamp that no commit in it is above, raised now and then.

use std::sync::Arc;
use std::time::Duration;

use lentil_store::{StoreError, StoredDocument, Timestamp, WriteSet};
use lentil_values::DocumentId;
use parking_lot::RwLock;
use rusqlite::Connection;

use crate::connection::run;
use crate::error::store_error;
use crate::tables::documents;
use crate::tables::format;

/// By how much the ceiling is raised; after a crash timestamps go on from it.
const RAISE: Duration = Duration::from_secs(1);

/// How far commits are in the file.
pub(crate) struct Frontier(RwLock<State>);

#[derive(Clone)]
struct State {
    /// The last commit that is in the file, durable or not yet.
    last: Timestamp,
    /// The batch whose COMMIT is under way.
    under_way: Option<Arc<UnderWay>>,
    /// Counts the beginnings and ends of COMMITs, and whatever else a snapshot of now has to come after.
    changes: u64,
}

struct UnderWay {
    last: Timestamp,
    mark: Mark,
}

/// A snapshot that has begun.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    /// The last commit in it.
    pub(crate) last: Timestamp,
    changes: u64,
}

impl Frontier {
    pub(crate) fn at(last: Timestamp) -> Frontier {
        Frontier(RwLock::new(State {
            last,
            under_way: None,
            changes: 0,
        }))
    }

    /// Runs the COMMIT of a batch that ends with `last`.
    pub(crate) fn commit(
        &self,
        conn: &Connection,
        last: Timestamp,
        mark: Mark,
    ) -> rusqlite::Result<()> {
        let under_way = Some(Arc::new(UnderWay { last, mark }));
        self.change(|state| state.under_way = under_way);
        let done = run(conn, "COMMIT");
        self.change(|state| {
            state.under_way = None;
            if done.is_ok() {
                state.last = last;
            }
        });
        done
    }

    /// Begins a snapshot.
    pub(crate) fn begin_snapshot(&self, conn: &Connection) -> Result<Standing, StoreError> {
        loop {
            let State {
                last,
                under_way,
                changes,
            } = self.0.read().clone();
            run(conn, "BEGIN").map_err(store_error)?;
            // The first that is read is what fixes the snapshot.
            format::read_version(conn).map_err(store_error)?;
            let standing = Standing { last, changes };
            if self.is_of_now(&standing) {
                return match under_way {
                    Some(batch) if batch.mark.is_in(conn)? => Ok(Standing {
                        last: batch.last,
                        changes,
                    }),
                    _ => Ok(standing),
                };
            }
            run(conn, "ROLLBACK").map_err(store_error)?;
        }
    }

    /// Returns whether nothing was committed since a snapshot began.
    pub(crate) fn is_of_now(&self, standing: &Standing) -> bool {
        self.0.read().changes == standing.changes
    }

    /// Sets the timestamp of snapshots that begin from now on to `last`: another program has changed the file, and they
    /// see the change.
    pub(crate) fn advance(&self, last: Timestamp) {
        self.change(|state| state.last = last);
    }

    /// Lets no snapshot that has begun pass for one of now: something else than a batch has changed the file, or the log
    /// is to be free of readers.
    pub(crate) fn renew(&self) {
        self.change(|_| ());
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.write();
        change(&mut state);
        state.changes += 1;
    }
}

/// What is in the file once a batch is committed, and was not before.
pub(crate) enum Mark {
    /// A document, or that there is none of this id.
    Document(DocumentId, Option<Arc<StoredDocument>>),
    /// The ceiling.
    Ceiling(Timestamp),
}

impl Mark {
    /// What the last commit of a batch leaves of a document, if the batch did not find it so.
    pub(crate) fn document(commits: &[(Timestamp, WriteSet)]) -> Option<Mark> {
        let last = commits.last()?.1.writes.last()?;
        let first = commits
            .iter()
            .flat_map(|(_, writes)| &writes.writes)
            .find(|write| write.id == last.id)?;
        let is_changed =
            first.old.as_ref().map(|old| &old.fields) != last.new.as_ref().map(|new| &new.fields);
        is_changed.then(|| Mark::Document(last.id, last.new.clone()))
    }

    /// A ceiling for commits from this one on, written on the connection.
    pub(crate) fn ceiling(
        conn: &Connection,
        last: Timestamp,
    ) -> rusqlite::Result<(Mark, Timestamp)> {
        let ceiling =
            Timestamp::from_nanos(last.as_nanos().saturating_add(RAISE.as_nanos() as u64));
        format::write_timestamp_lease(conn, ceiling)?;
        Ok((Mark::Ceiling(ceiling), ceiling))
    }

    fn is_in(&self, conn: &Connection) -> Result<bool, StoreError> {
        match self {
            Mark::Document(id, document) => documents::is_stored(conn, *id, document.as_deref()),
            Mark::Ceiling(ceiling) => {
                Ok(format::read_timestamp_lease(conn).map_err(store_error)? == *ceiling)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lentil_store::DocumentWrite;
    use lentil_values::{FieldName, InternalId, Object, TableNumber, Value};

    use super::*;
    use crate::SqliteOptions;
    use crate::connection;
    use crate::open::database::{self, Opened};
    use crate::tables::foreign::ForeignTables;
    use crate::tables::document_table::DocumentTable;
    use crate::tables::{row, write_set};

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    /// A document of this number that says `n`.
    fn document(number: u64, n: i64) -> Arc<StoredDocument> {
        let creation_time = number as f64;
        let id = DocumentId {
            table: TableNumber::FIRST_USER,
            internal: InternalId::at(creation_time, number),
        };
        let fields = Object::from_iter([(FieldName::from_static("n"), Value::Int64(n))]);
        Arc::new(StoredDocument {
            id,
            creation_time,
            fields,
        })
    }

    /// A commit that changes document 1 from and to saying this; `None` is no document.
    fn change(nanos: u64, old: Option<i64>, new: Option<i64>) -> (Timestamp, WriteSet) {
        let (id, [old, new]) = (
            document(1, 0).id,
            [old, new].map(|n| n.map(|n| document(1, n))),
        );
        (
            at(nanos),
            WriteSet {
                writes: vec![DocumentWrite {
                    id,
                    old,
                    new,
                    keys: Vec::new(),
                }],
            },
        )
    }

    #[test]
    fn a_batch_whose_commit_is_under_way_is_in_a_snapshot_when_its_mark_is() {
        check_marks(&[]);
        // The document is a foreign one when another has its number.
        let mut other = (*document(1, 0)).clone();
        other.id.internal = InternalId::at(other.creation_time, 99);
        check_marks(&[other]);
    }

    fn check_marks(stored: &[StoredDocument]) {
        let folder = tempfile::tempdir().unwrap();
        let Opened {
            path, writer, last, ..
        } = database::open(folder.path(), &SqliteOptions::default()).unwrap();
        DocumentTable(TableNumber::FIRST_USER).create(&writer).unwrap();
        for document in stored {
            let (foreign, json) = (&mut ForeignTables::default(), row::encode(document));
            documents::insert(&writer, foreign, document, &json).unwrap();
        }
        let reader = connection::reader(&path).unwrap();
        let frontier = Frontier::at(last);
        let seen = || {
            let seen = frontier.begin_snapshot(&reader).unwrap().last;
            run(&reader, "ROLLBACK").unwrap();
            seen
        };
        let batches = [
            vec![change(1, None, Some(1))],
            vec![change(2, Some(1), Some(2))],
            vec![change(3, Some(2), Some(3)), change(4, Some(3), Some(4))],
            vec![change(5, Some(4), Some(5)), change(6, Some(5), Some(4))],
            vec![change(7, Some(4), None)],
            vec![change(8, None, Some(1)), change(9, Some(1), None)],
        ];
        let mut before = last;
        for (which, commits) in batches.iter().enumerate() {
            run(&writer, "BEGIN IMMEDIATE").unwrap();
            for (_, writes) in commits {
                write_set::apply(&writer, &mut ForeignTables::default(), writes).unwrap();
            }
            let last = commits.last().unwrap().0;
            let mark = Mark::document(commits);
            // What a batch leaves as it was tells nothing.
            assert_eq!(mark.is_none(), [3, 5].contains(&which));
            let mark = mark.unwrap_or_else(|| Mark::ceiling(&writer, last).unwrap().0);
            frontier.change(|state| state.under_way = Some(Arc::new(UnderWay { last, mark })));
            assert_eq!(seen(), before);
            run(&writer, "COMMIT").unwrap();
            assert_eq!(seen(), last);
            frontier.change(|state| (state.under_way, state.last) = (None, last));
            assert_eq!(seen(), last);
            before = last;
        }
    }

    #[test]
    fn a_snapshot_that_begins_amid_commits_has_just_those_up_to_its_timestamp() {
        let folder = tempfile::tempdir().unwrap();
        let Opened { path, writer, .. } =
            database::open(folder.path(), &SqliteOptions::default()).unwrap();
        // The quicker commits are, the more often one begins or ends just then.
        writer.pragma_update(None, "synchronous", "OFF").unwrap();
        DocumentTable(TableNumber::FIRST_USER).create(&writer).unwrap();
        let reader = connection::reader(&path).unwrap();
        let (frontier, commits) = (&Frontier::at(at(0)), 5_000);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for number in 1..=commits {
                    let new = document(number, 0);
                    let write = DocumentWrite {
                        id: new.id,
                        old: None,
                        new: Some(new),
                        keys: Vec::new(),
                    };
                    let commit = (
                        at(number),
                        WriteSet {
                            writes: vec![write],
                        },
                    );
                    run(&writer, "BEGIN IMMEDIATE").unwrap();
                    write_set::apply(&writer, &mut ForeignTables::default(), &commit.1).unwrap();
                    frontier
                        .commit(&writer, commit.0, Mark::document(&[commit]).unwrap())
                        .unwrap();
                }
            });
            let mut last = 0;
            while last < commits {
                last = frontier.begin_snapshot(&reader).unwrap().last.as_nanos();
                let count = "SELECT count(*) FROM _documents_10001";
                let count: i64 = reader
                    .prepare_cached(count)
                    .unwrap()
                    .query_row([], |row| row.get(0))
                    .unwrap();
                run(&reader, "ROLLBACK").unwrap();
                assert_eq!(count as u64, last);
            }
        });
    }

    #[test]
    fn a_commit_that_failed_is_not_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let Opened { writer, last, .. } =
            database::open(folder.path(), &SqliteOptions::default()).unwrap();
        let frontier = Frontier::at(last);
        let mark = || Mark::Document(document(1, 1).id, None);
        assert!(
            frontier.commit(&writer, last.next(last), mark()).is_err(),
            "nothing has begun"
        );
        assert_eq!(frontier.begin_snapshot(&writer).unwrap().last, last);
        frontier.commit(&writer, last.next(last), mark()).unwrap();
        assert_eq!(
            frontier.begin_snapshot(&writer).unwrap().last,
            last.next(last)
        );
    }
}
