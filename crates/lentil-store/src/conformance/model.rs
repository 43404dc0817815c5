//! Random programs that run on a store and on a plain map. Both must give the same results.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use lentil_values::{DocumentId, Interval};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::support::*;
use crate::buffer::WriteBuffer;
use crate::clock::Clock;
use crate::document::StoredDocument;
use crate::index::{IndexRef, Order, Row};
use crate::store::{Snapshot, Store, Transaction};

/// One step of a program over sixteen documents. The last eight are imported from another database.
#[derive(Clone, Debug)]
enum Step {
    Put {
        which: u64,
        n: Option<i64>,
    },
    Delete {
        which: u64,
    },
    BeginSavepoint,
    EndSavepoint {
        release: bool,
    },
    End {
        commit: bool,
    },
    Get {
        which: u64,
    },
    Scan {
        index: usize,
        from: Option<(u64, Option<i64>)>,
        to: Option<(u64, Option<i64>)>,
        desc: bool,
        limit: usize,
    },
    Count {
        index: usize,
        from: Option<(u64, Option<i64>)>,
        to: Option<(u64, Option<i64>)>,
        limit: usize,
    },
    FindDuplicate,
    TakeSnapshot,
    ReadSnapshot,
}

const WHICH: std::ops::Range<u64> = 0..16;

/// Makes one of the sixteen documents.
fn document(store: &dyn Store, which: u64, n: Option<i64>) -> Arc<StoredDocument> {
    match which.checked_sub(8) {
        None => task(store, which, n),
        Some(which) => foreign_task(store, which, n),
    }
}

fn step() -> impl Strategy<Value = Step> {
    let n = || prop::option::weighted(0.8, -2_i64..4);
    let bound = || prop::option::of((WHICH, n()));
    prop_oneof![
        4 => (WHICH, n()).prop_map(|(which, n)| Step::Put { which, n }),
        2 => WHICH.prop_map(|which| Step::Delete { which }),
        1 => Just(Step::BeginSavepoint),
        1 => any::<bool>().prop_map(|release| Step::EndSavepoint { release }),
        2 => prop::bool::weighted(0.8).prop_map(|commit| Step::End { commit }),
        1 => WHICH.prop_map(|which| Step::Get { which }),
        4 => (0_usize..3, bound(), bound(), any::<bool>(), 0_usize..20)
            .prop_map(|(index, from, to, desc, limit)| Step::Scan { index, from, to, desc, limit }),
        3 => (0_usize..3, bound(), bound(), 0_usize..20)
            .prop_map(|(index, from, to, limit)| Step::Count { index, from, to, limit }),
        1 => Just(Step::FindDuplicate),
        1 => Just(Step::TakeSnapshot),
        1 => Just(Step::ReadSnapshot),
    ]
}

/// The plain map: the documents by their ids.
type Documents = BTreeMap<DocumentId, Arc<StoredDocument>>;

/// A store and its map during a program.
struct Model<'s> {
    store: &'s dyn Store,
    transaction: Option<(Box<dyn Transaction>, WriteBuffer)>,
    snapshot: Option<(Box<dyn Snapshot>, Documents)>,
    /// Whether `by_n` is declared unique. These programs commit duplicates nevertheless.
    is_unique: bool,
    committed: Documents,
    /// The documents that the transaction sees, at each open savepoint and now.
    visible: Vec<Documents>,
}

/// Random programs give the same results on the store as on the map.
pub fn random_programs_match_a_plain_map<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let mut runner = TestRunner::new(Config {
        cases: 48,
        ..Config::default()
    });
    let programs = (any::<bool>(), prop::collection::vec(step(), 1..60));
    let outcome = runner.run(&programs, |(is_unique, program)| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a Tokio runtime starts");
        runtime.block_on(async {
            let (made, _) = open(make).await;
            if is_unique {
                declare(&*made.store, &[unique_tasks()]).await;
            }
            let mut model = Model::of(&*made.store, is_unique);
            for step in program {
                model.run(step).await;
            }
            model.run(Step::End { commit: true }).await;
            model.check_all().await;
        });
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

impl<'s> Model<'s> {
    fn of(store: &'s dyn Store, is_unique: bool) -> Model<'s> {
        let committed = Documents::new();
        let visible = Vec::new();
        Model {
            store,
            transaction: None,
            snapshot: None,
            is_unique,
            committed,
            visible,
        }
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Put { which, n } => self.put(which, Some(document(self.store, which, n))).await,
            Step::Delete { which } => self.put(which, None).await,
            Step::BeginSavepoint => self.begin_savepoint().await,
            Step::EndSavepoint { release } => self.end_savepoint(release),
            Step::End { commit } => self.end(commit).await,
            Step::Get { which } => self.get(which).await,
            Step::Scan {
                index,
                from,
                to,
                desc,
                limit,
            } => self.scan(index, from, to, desc, limit).await,
            Step::Count {
                index,
                from,
                to,
                limit,
            } => self.count(index, from, to, limit).await,
            Step::FindDuplicate => self.find_duplicate().await,
            Step::TakeSnapshot => {
                let snapshot = self
                    .store
                    .snapshot()
                    .await
                    .expect("a snapshot can be taken");
                self.snapshot = Some((snapshot, self.committed.clone()));
            }
            Step::ReadSnapshot => self.read_snapshot().await,
        }
    }

    async fn begin(&mut self) {
        if self.transaction.is_none() {
            let transaction = self.store.begin().await.expect("the write lock is free");
            self.transaction = Some((transaction, WriteBuffer::new(self.store.catalog())));
            self.visible = vec![self.committed.clone()];
        }
    }

    async fn put(&mut self, which: u64, new: Option<Arc<StoredDocument>>) {
        self.begin().await;
        let id = document(self.store, which, None).id;
        let visible = self.visible.last_mut().expect("a transaction is open");
        let old = match &new {
            Some(new) => visible.insert(id, Arc::clone(new)),
            None => visible.remove(&id),
        };
        self.transaction
            .as_mut()
            .expect("a transaction is open")
            .1
            .put(old, new);
    }

    async fn begin_savepoint(&mut self) {
        self.begin().await;
        self.transaction
            .as_mut()
            .expect("a transaction is open")
            .1
            .begin_savepoint();
        self.visible
            .push(self.visible.last().expect("a transaction is open").clone());
    }

    fn end_savepoint(&mut self, release: bool) {
        let Some((_, buffer)) = self.transaction.as_mut().filter(|_| self.visible.len() > 1) else {
            return;
        };
        let top = self.visible.pop().expect("a savepoint is open");
        if release {
            buffer.release_savepoint();
            *self.visible.last_mut().expect("the transaction is open") = top;
        } else {
            buffer.roll_back_savepoint();
        }
    }

    async fn end(&mut self, commit: bool) {
        while self.visible.len() > 1 {
            self.end_savepoint(commit);
        }
        let Some((transaction, buffer)) = self.transaction.take() else {
            return;
        };
        let visible = self.visible.pop().expect("a transaction is open");
        if commit {
            transaction
                .commit(buffer.into_write_set())
                .await
                .expect("nothing conflicts");
            self.committed = visible;
        }
    }

    async fn get(&mut self, which: u64) {
        self.begin().await;
        let id = document(self.store, which, None).id;
        let (transaction, buffer) = self.transaction.as_mut().expect("a transaction is open");
        let found = match buffer.get(id) {
            Some(written) => written.cloned(),
            None => transaction.get(id).await.expect("the read succeeds"),
        };
        assert_eq!(
            found.as_ref(),
            self.visible.last().and_then(|visible| visible.get(&id))
        );
    }

    async fn scan(
        &mut self,
        at: usize,
        from: Option<(u64, Option<i64>)>,
        to: Option<(u64, Option<i64>)>,
        desc: bool,
        limit: usize,
    ) {
        self.begin().await;
        let (index, interval) = self.interval(at, from, to);
        let order = if desc { Order::Desc } else { Order::Asc };
        let expected = self.rows(
            self.visible.last().expect("a transaction is open"),
            index,
            &interval,
            order,
            limit,
        );
        let (transaction, buffer) = self.transaction.as_mut().expect("a transaction is open");
        let found = buffer
            .scan(&mut **transaction, index, &interval, order, limit)
            .await
            .expect("the read succeeds");
        assert_eq!(found, expected);
    }

    async fn count(
        &mut self,
        at: usize,
        from: Option<(u64, Option<i64>)>,
        to: Option<(u64, Option<i64>)>,
        limit: usize,
    ) {
        self.begin().await;
        let (index, interval) = self.interval(at, from, to);
        let expected = self.rows(
            self.visible.last().expect("a transaction is open"),
            index,
            &interval,
            Order::Asc,
            limit,
        );
        let (transaction, buffer) = self.transaction.as_mut().expect("a transaction is open");
        let counted = buffer
            .count(&mut **transaction, index, &interval, limit)
            .await
            .expect("the read succeeds");
        assert_eq!(counted, expected.len());
    }

    /// Without savepoints, a duplicate is found if a document that the transaction changed has the
    /// `n` of another.
    async fn find_duplicate(&mut self) {
        let Some((transaction, buffer)) = self
            .transaction
            .as_mut()
            .filter(|_| self.visible.len() == 1)
        else {
            return;
        };
        let now = &self.visible[0];
        let n = |document: &Arc<StoredDocument>| document.fields.get("n").cloned();
        let takes = |(id, document): &(&DocumentId, &Arc<StoredDocument>)| {
            let before = self.committed.get(id);
            before.is_none_or(|before| n(before) != n(document))
                && now
                    .values()
                    .any(|other| other.id != **id && n(other) == n(document))
        };
        let expected = now.iter().any(|entry| takes(&entry));
        let found = buffer
            .find_duplicate(&mut **transaction)
            .await
            .expect("the read succeeds");
        assert_eq!(found.is_some(), expected && self.is_unique, "{found:?}");
    }

    /// Returns an index and the interval between the keys of two tasks.
    fn interval(
        &self,
        at: usize,
        from: Option<(u64, Option<i64>)>,
        to: Option<(u64, Option<i64>)>,
    ) -> (IndexRef, Interval) {
        let index = index(self.store, ["by_id", "by_creation_time", "by_n"][at]);
        let key = |(which, n)| self.key(index, &document(self.store, which, n));
        (
            index,
            Interval {
                start: from.map(key).unwrap_or_default(),
                end: to.map(key),
            },
        )
    }

    async fn read_snapshot(&mut self) {
        let Some((mut snapshot, documents)) = self.snapshot.take() else {
            return;
        };
        for name in ["by_id", "by_creation_time", "by_n"] {
            let index = index(self.store, name);
            let counted = snapshot
                .count(index, &Interval::all(), usize::MAX)
                .await
                .expect("the read succeeds");
            assert_eq!(counted, documents.len());
            let expected = self.rows(&documents, index, &Interval::all(), Order::Asc, usize::MAX);
            let found = snapshot
                .scan(index, &Interval::all(), Order::Asc, usize::MAX)
                .await;
            assert_eq!(found.expect("the read succeeds"), expected);
        }
    }

    async fn check_all(&mut self) {
        self.run(Step::TakeSnapshot).await;
        self.read_snapshot().await;
    }

    fn key(&self, index: IndexRef, document: &StoredDocument) -> Vec<u8> {
        let keys = self.store.catalog().keys_of(document);
        let (_, key) = keys
            .into_iter()
            .find(|(of, _)| *of == index)
            .expect("the index is the table's");
        key.into_bytes()
    }

    /// Returns the result of a scan on the map.
    fn rows(
        &self,
        documents: &Documents,
        index: IndexRef,
        interval: &Interval,
        order: Order,
        limit: usize,
    ) -> Vec<Row> {
        let row = |document: &Arc<StoredDocument>| Row {
            key: lentil_values::IndexKey::from_bytes(self.key(index, document)),
            document: Arc::clone(document),
        };
        let mut rows: Vec<Row> = documents.values().map(row).collect();
        rows.retain(|row| interval.contains(row.key.as_bytes()));
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        if order == Order::Desc {
            rows.reverse();
        }
        rows.truncate(limit);
        rows
    }
}
