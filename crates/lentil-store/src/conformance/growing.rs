//! Tests of adding and removing tables and indexes.

use std::future::Future;
use std::sync::Arc;

use super::support::*;
use crate::catalog::{IndexState, TableDeclaration};
use crate::clock::Clock;

/// A new index is built over the existing documents in steps and is ready after the last.
pub async fn an_index_is_built_in_steps<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    fill(store, 1..=25).await;
    store.declare(&[tasks(&["n", "which"])]).await.unwrap();
    let state = || {
        store.catalog().tables["tasks"]
            .index("by_which")
            .unwrap()
            .state
    };
    let mut done = Vec::new();
    while let Some(progress) = store.maintain(10).await.unwrap() {
        assert_eq!(
            (progress.table.as_str(), progress.index.as_str()),
            ("tasks", "by_which")
        );
        done.push(progress.done);
        assert_eq!(
            state() == IndexState::Ready,
            progress.done == 25,
            "{progress:?}"
        );
        // A store that reuses a snapshot must not reuse one from before the last step.
        assert_eq!(
            all(&mut *store.snapshot().await.unwrap(), index(store, "by_n"))
                .await
                .len(),
            25
        );
    }
    assert!(done.starts_with(&[10, 20, 25]), "{done:?}");
    let built = all(
        &mut *store.snapshot().await.unwrap(),
        index(store, "by_which"),
    )
    .await;
    assert!(built.into_iter().eq(1..=25));
}

/// An index that is not declared any more is removed, and its name can be used again.
pub async fn an_undeclared_index_is_removed<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    fill(store, 1..=25).await;
    let old = index(store, "by_n");
    store.declare(&[tasks(&[])]).await.unwrap();
    assert!(store.catalog().tables["tasks"].index("by_n").is_none());
    while store.maintain(10).await.unwrap().is_some() {}
    assert!(store.catalog().tables["tasks"].indexes.is_empty());
    declare(store, &[tasks(&["n"])]).await;
    assert_ne!(index(store, "by_n"), old);
    assert_eq!(
        all(&mut *store.snapshot().await.unwrap(), index(store, "by_n"))
            .await
            .len(),
        25
    );
}

/// A table keeps its number, whether or not it is declared.
pub async fn table_numbers_are_never_reused<M: Future<Output = TestStore>>(
    make: &impl Fn(Arc<dyn Clock>) -> M,
) {
    let (made, _) = open(make).await;
    let store = &*made.store;
    fill(store, [1]).await;
    let number = table(store);
    let other = TableDeclaration {
        name: "other".to_owned(),
        ..tasks(&[])
    };
    declare(store, std::slice::from_ref(&other)).await;
    assert_ne!(store.catalog().tables["other"].number, number);
    declare(store, &[other, tasks(&["n"])]).await;
    assert_eq!(table(store), number);
    assert_eq!(
        all(&mut *store.snapshot().await.unwrap(), index(store, "by_n")).await,
        [1]
    );
}
