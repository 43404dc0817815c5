//! Tests of unique indexes.

use std::future::Future;
use std::sync::Arc;

use lentil_values::FieldPath;

use super::committing::join_all;
use super::support::*;
use crate::buffer::WriteBuffer;
use crate::clock::Clock;
use crate::duplicates::find_duplicates;
use crate::error::StoreError;
use crate::store::Store;
use crate::unique::UniqueViolation;

async fn open_unique<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) -> TestStore {
    let (made, _) = open(make).await;
    declare(&*made.store, &[unique_tasks()]).await;
    made
}

/// A task: its number and its `n`.
type Task = (u64, Option<i64>);

/// Returns the duplicate that these changes would make, in a transaction that is then dropped.
async fn refusal(store: &dyn Store, changes: &[[Option<Task>; 2]]) -> Option<UniqueViolation> {
    let mut transaction = store.begin().await.unwrap();
    let mut buffer = WriteBuffer::new(store.catalog());
    let task = |(which, n)| task(store, which, n);
    for [old, new] in changes {
        buffer.put(old.map(task), new.map(task));
    }
    buffer.find_duplicate(view(&mut transaction)).await.unwrap()
}

/// A document that takes another's key is found, whether the other is in the store or in the
/// buffer.
pub async fn duplicates_are_found_in_the_store_and_in_the_buffer<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let made = open_unique(make).await;
    let store = &*made.store;
    fill(store, [1, 2]).await;
    let (one, two) = (Some((1, Some(1))), Some((2, Some(2))));
    for taking in [[None, Some((3, Some(1)))], [two, Some((2, Some(1)))]] {
        let found = refusal(store, &[taking]).await.unwrap();
        assert_eq!(
            (found.table.as_str(), found.index.as_str()),
            ("tasks", "by_n")
        );
        let (taken, taker) = (
            task(store, 1, None).id,
            task(store, taking[1].unwrap().0, None).id,
        );
        assert_eq!(found.documents, [taken, taker]);
        assert!(found.to_string().ends_with("both have `n` 1n"), "{found}");
    }
    assert!(
        refusal(
            store,
            &[[None, Some((3, Some(3)))], [None, Some((4, Some(3)))]]
        )
        .await
        .is_some()
    );
    assert_eq!(
        refusal(store, &[[None, Some((3, Some(3)))], [one, None]]).await,
        None
    );
}

/// Only the final state counts: two documents may swap their keys, and a freed key may be taken.
pub async fn documents_may_swap_keys_within_a_mutation<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let made = open_unique(make).await;
    let store = &*made.store;
    fill(store, [1, 2]).await;
    let (one, two) = (Some((1, Some(1))), Some((2, Some(2))));
    let (one_as_two, two_as_one) = (Some((1, Some(2))), Some((2, Some(1))));
    assert!(refusal(store, &[[one, one_as_two]]).await.is_some());
    assert_eq!(
        refusal(store, &[[one, one_as_two], [two, two_as_one]]).await,
        None
    );
    assert_eq!(
        refusal(store, &[[None, Some((3, Some(1)))], [one, None]]).await,
        None
    );
    assert_eq!(
        refusal(store, &[[one, one_as_two], [one_as_two, one]]).await,
        None
    );
    assert_eq!(
        refusal(
            store,
            &[[None, Some((3, Some(2)))], [Some((3, Some(2))), None]]
        )
        .await,
        None
    );
}

/// The check of a savepoint covers its own writes and ignores earlier duplicates.
pub async fn a_savepoint_is_checked_for_its_own_writes<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let made = open_unique(make).await;
    let store = &*made.store;
    fill(store, [1, 2]).await;
    let mut transaction = store.begin().await.unwrap();
    let mut buffer = WriteBuffer::new(store.catalog());
    buffer.put(Some(task(store, 1, Some(1))), Some(task(store, 1, Some(2))));
    assert!(
        buffer
            .find_duplicate(view(&mut transaction))
            .await
            .unwrap()
            .is_some()
    );

    buffer.begin_savepoint();
    buffer.put(None, Some(task(store, 3, Some(3))));
    assert_eq!(
        buffer.find_duplicate(view(&mut transaction)).await.unwrap(),
        None
    );
    buffer.begin_savepoint();
    buffer.put(None, Some(task(store, 4, Some(3))));
    assert!(
        buffer
            .find_duplicate(view(&mut transaction))
            .await
            .unwrap()
            .is_some()
    );
    buffer.roll_back_savepoint();
    assert_eq!(
        buffer.find_duplicate(view(&mut transaction)).await.unwrap(),
        None
    );
    buffer.release_savepoint();

    buffer.begin_savepoint();
    buffer.put(Some(task(store, 2, Some(2))), Some(task(store, 2, Some(1))));
    assert_eq!(
        buffer.find_duplicate(view(&mut transaction)).await.unwrap(),
        None
    );
    buffer.release_savepoint();
    assert_eq!(
        buffer.find_duplicate(view(&mut transaction)).await.unwrap(),
        None
    );
}

/// Two documents without the field are duplicates.
pub async fn two_missing_fields_are_duplicates<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let made = open_unique(make).await;
    let store = &*made.store;
    commit(store, [(None, Some(task(store, 1, None)))]).await;
    let found = refusal(store, &[[None, Some((2, None))]]).await.unwrap();
    assert!(found.to_string().ends_with("both have no `n`"), "{found}");
    assert_eq!(found.values, [(FieldPath::parse("n").unwrap(), None)]);
}

/// Of 64 concurrent transactions that insert one key, each having read that it is free, one
/// commits.
pub async fn concurrent_inserts_of_one_key_commit_once<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let made = open_unique(make).await;
    let store = &*made.store;
    let taken = join_all((0..64).map(|which| take(store, which, 7)).collect()).await;
    assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 1);
    assert_eq!(
        all(&mut *store.snapshot().await.unwrap(), index(store, "by_n"))
            .await
            .len(),
        1
    );
}

/// Inserts a task with this `n` and retries conflicts. Returns false if another task has the key.
async fn take(store: &dyn Store, which: u64, n: i64) -> bool {
    loop {
        let mut transaction = store.begin().await.unwrap();
        let mut buffer = WriteBuffer::new(store.catalog());
        buffer.put(None, Some(task(store, which, Some(n))));
        match buffer.find_duplicate(view(&mut transaction)).await {
            Ok(None) => {}
            Ok(Some(_)) => return false,
            Err(StoreError::Conflict) => continue,
            Err(error) => panic!("{error}"),
        }
        match transaction.commit(buffer.into_write_set()).await {
            Ok(_) => return true,
            Err(error) if error.is_retryable() => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Documents may be equal in all but one of several fields.
pub async fn a_key_of_several_fields_is_compared_whole<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    let mut table = unique_tasks();
    table.indexes[0]
        .fields
        .push(FieldPath::parse("which").unwrap());
    declare(store, &[table]).await;
    commit(store, [(None, Some(task(store, 1, Some(1))))]).await;
    assert_eq!(refusal(store, &[[None, Some((2, Some(1)))]]).await, None);
    let mut same = (*task(store, 2, Some(1))).clone();
    same.fields = task(store, 1, Some(1)).fields.clone();
    let mut transaction = store.begin().await.unwrap();
    let mut buffer = WriteBuffer::new(store.catalog());
    buffer.put(None, Some(Arc::new(same)));
    let found = buffer
        .find_duplicate(view(&mut transaction))
        .await
        .unwrap()
        .unwrap();
    assert!(
        found.to_string().ends_with("both have `n` 1n, `which` 1n"),
        "{found}"
    );
}

/// Before an index is declared unique, the first documents that repeat a key are found.
pub async fn duplicates_are_found_before_an_index_becomes_unique<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    fill(store, 0..2_500).await;
    let fields = [FieldPath::parse("n").unwrap()];
    let find = async |limit| {
        let mut snapshot = store.snapshot().await.unwrap();
        let (table, index) = (("tasks", table(store)), ("by_n", &fields[..]));
        find_duplicates(&mut *snapshot, table, index, limit, &|_| ())
            .await
            .unwrap()
    };
    assert_eq!(find(10).await, []);
    let repeats = [(3_000, 7), (3_001, 2_400), (3_002, 7)];
    commit(
        store,
        repeats.map(|(which, n)| (None, Some(task(store, which, Some(n))))),
    )
    .await;
    let expected: Vec<_> = repeats
        .map(|(which, n)| [n as u64, which].map(|which| task(store, which, None).id))
        .into();
    let found = |found: Vec<UniqueViolation>| {
        found
            .into_iter()
            .map(|found| found.documents)
            .collect::<Vec<_>>()
    };
    assert_eq!(found(find(10).await), expected);
    assert_eq!(found(find(2).await), expected[..2]);
}
