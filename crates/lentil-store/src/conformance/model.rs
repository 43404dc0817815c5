//! Random programs, on a store and on a plain map side by side.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use lentil_values::{DocumentId, Interval};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::support::*;
use crate::{
    Clock, IndexRef, Order, Row, Snapshot, Store, StoredDocument, Transaction, WriteBuffer,
};

/// One step of a program over sixteen documents, the later eight of which come from another database.
#[derive(Clone, Debug)]
enum Step {
    Put {
        which: u64,
        n: Option<i64>,
    },
    Delete {
        which: u64,
    },
    PushLayer,
    EndLayer {
        keep: bool,
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

/// One of the sixteen documents.
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
        1 => Just(Step::PushLayer),
        1 => any::<bool>().prop_map(|keep| Step::EndLayer { keep }),
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

/// The plain map: every document by its id.
type Documents = BTreeMap<DocumentId, Arc<StoredDocument>>;

/// A store and the map beside it, in the middle of a program.
struct Pair<'s> {
    store: &'s dyn Store,
    transaction: Option<(Box<dyn Transaction>, WriteBuffer)>,
    snapshot: Option<(Box<dyn Snapshot>, Documents)>,
    /// Whether `by_n` is declared unique; these programs commit all the same.
    is_unique: bool,
    committed: Documents,
    /// What the transaction sees: without layers, then one more for each layer.
    seen: Vec<Documents>,
}

/// Every random program gives the same answers on the store as on the map.
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
            .expect("a runtime");
        runtime.block_on(async {
            let (made, _) = open(make).await;
            if is_unique {
                declare(&*made.store, &[unique_tasks()]).await;
            }
            let mut pair = Pair::of(&*made.store, is_unique);
            for step in program {
                pair.run(step).await;
            }
            pair.run(Step::End { commit: true }).await;
            pair.check_all().await;
        });
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

impl<'s> Pair<'s> {
    fn of(store: &'s dyn Store, is_unique: bool) -> Pair<'s> {
        let (committed, seen) = (Documents::new(), Vec::new());
        Pair {
            store,
            transaction: None,
            snapshot: None,
            is_unique,
            committed,
            seen,
        }
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Put { which, n } => self.put(which, Some(document(self.store, which, n))).await,
            Step::Delete { which } => self.put(which, None).await,
            Step::PushLayer => self.begin_savepoint().await,
            Step::EndLayer { keep } => self.end_layer(keep),
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
            let transaction = self.store.begin().await.expect("the turn is free");
            self.transaction = Some((transaction, WriteBuffer::new(self.store.catalog())));
            self.seen = vec![self.committed.clone()];
        }
    }

    async fn put(&mut self, which: u64, new: Option<Arc<StoredDocument>>) {
        self.begin().await;
        let id = document(self.store, which, None).id;
        let seen = self.seen.last_mut().expect("a transaction sees something");
        let old = match &new {
            Some(new) => seen.insert(id, Arc::clone(new)),
            None => seen.remove(&id),
        };
        self.transaction
            .as_mut()
            .expect("it was begun")
            .1
            .put(old, new);
    }

    async fn begin_savepoint(&mut self) {
        self.begin().await;
        self.transaction
            .as_mut()
            .expect("it was begun")
            .1
            .begin_savepoint();
        self.seen.push(
            self.seen
                .last()
                .expect("a transaction sees something")
                .clone(),
        );
    }

    fn end_layer(&mut self, keep: bool) {
        let Some((_, buffer)) = self.transaction.as_mut().filter(|_| self.seen.len() > 1) else {
            return;
        };
        let top = self.seen.pop().expect("there is a layer");
        if keep {
            buffer.release_savepoint();
            *self.seen.last_mut().expect("there is one below") = top;
        } else {
            buffer.roll_back_savepoint();
        }
    }

    async fn end(&mut self, commit: bool) {
        while self.seen.len() > 1 {
            self.end_layer(commit);
        }
        let Some((transaction, buffer)) = self.transaction.take() else {
            return;
        };
        let seen = self.seen.pop().expect("a transaction sees something");
        if commit {
            transaction
                .commit(buffer.into_write_set())
                .await
                .expect("nothing is in the way");
            self.committed = seen;
        }
    }

    async fn get(&mut self, which: u64) {
        self.begin().await;
        let id = document(self.store, which, None).id;
        let (transaction, buffer) = self.transaction.as_mut().expect("it was begun");
        let found = match buffer.get(id) {
            Some(written) => written.cloned(),
            None => transaction.get(id).await.expect("it can be read"),
        };
        assert_eq!(
            found.as_ref(),
            self.seen.last().and_then(|seen| seen.get(&id))
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
        let (index, interval) = self.stretch(at, from, to);
        let order = if desc { Order::Desc } else { Order::Asc };
        let expected = self.rows(
            self.seen.last().expect("it sees something"),
            index,
            &interval,
            order,
            limit,
        );
        let (transaction, buffer) = self.transaction.as_mut().expect("it was begun");
        let found = buffer
            .scan(&mut **transaction, index, &interval, order, limit)
            .await
            .expect("it can be read");
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
        let (index, interval) = self.stretch(at, from, to);
        let expected = self.rows(
            self.seen.last().expect("it sees something"),
            index,
            &interval,
            Order::Asc,
            limit,
        );
        let (transaction, buffer) = self.transaction.as_mut().expect("it was begun");
        let counted = buffer
            .count(&mut **transaction, index, &interval, limit)
            .await
            .expect("it can be read");
        assert_eq!(counted, expected.len());
    }

    /// Within a transaction without layers, a duplicate is found when a document it changed has another's `n`.
    async fn find_duplicate(&mut self) {
        let Some((transaction, buffer)) =
            self.transaction.as_mut().filter(|_| self.seen.len() == 1)
        else {
            return;
        };
        let now = &self.seen[0];
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
            .expect("it can be read");
        assert_eq!(found.is_some(), expected && self.is_unique, "{found:?}");
    }

    /// A stretch of an index, between the keys of two tasks.
    fn stretch(
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
                .expect("it can be read");
            assert_eq!(counted, documents.len());
            let expected = self.rows(&documents, index, &Interval::all(), Order::Asc, usize::MAX);
            let found = snapshot
                .scan(index, &Interval::all(), Order::Asc, usize::MAX)
                .await;
            assert_eq!(found.expect("it can be read"), expected);
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

    /// What a scan of the map gives: every entry, sorted, cut.
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
