use std::sync::Arc;

use lentil::{Application, Functions, QueryCtx, Result, Schema, Table, v};
use lentil_runtime::{Identity, OpenError, OpenProgress, Runtime, RuntimeOptions};
use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_store::{IndexState, MemoryStore, Store, SystemClock};
use parking_lot::Mutex;

use crate::fixture::*;

async fn open(store: &Arc<dyn Store>, schema: Schema) -> Result<Runtime, OpenError> {
    Runtime::open(
        Application::new(schema),
        Vec::new(),
        Arc::clone(store),
        RuntimeOptions::default(),
    )
    .await
}

/// A store in which the fixture's application has left three tasks and stopped.
async fn used_store() -> (Arc<dyn Store>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(&folder);
    let runtime = open(&store, schema()).await.unwrap();
    for rank in [3.0, 1.0, 2.0] {
        runtime
            .with_mutation(Identity::Anonymous, None, async |ctx| {
                ctx.db.insert(task("ada", rank)).await
            })
            .await
            .unwrap();
    }
    runtime.close().await.unwrap();
    drop((runtime, store));
    (store_in(&folder), folder)
}

fn store_in(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap())
}

fn tasks() -> Table {
    Table::new("tasks")
        .field("owner", v::string())
        .field("rank", v::number())
        .optional("note", v::string())
}

#[tokio::test]
async fn invalid_documents_fail_the_opening_and_change_nothing() {
    let (store, _folder) = used_store().await;
    let before = store.catalog();
    let renamed = Table::new("tasks")
        .field("owner", v::string())
        .field("priority", v::number());
    let error = open(&store, Schema::new().with(renamed).with(Table::new("more")))
        .await
        .err()
        .unwrap();
    let OpenError::SchemaViolations(violations) = &error else {
        panic!("{error}")
    };
    assert_eq!(violations.first.len(), 3);
    assert!(
        violations.first[0].contains("field `rank`: unknown field"),
        "{error}"
    );
    assert_eq!(*store.catalog(), *before);
    assert!(open(&store, schema()).await.is_ok());
}

#[tokio::test]
async fn a_new_index_is_built_and_an_old_one_dropped() {
    let (store, _folder) = used_store().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let reported = Arc::clone(&seen);
    let progress = Box::new(move |progress: OpenProgress<'_>| {
        if let OpenProgress::Index(index) = progress {
            reported
                .lock()
                .push((index.index.clone(), index.state, index.done));
        }
    });
    let schema = Schema::new().with(tasks().index("by_rank", ["rank"]));
    let options = RuntimeOptions {
        progress,
        ..RuntimeOptions::default()
    };
    let runtime = Runtime::open(Application::new(schema), Vec::new(), store, options)
        .await
        .unwrap();
    let reported = seen.lock().clone();
    assert!(
        reported.contains(&("by_rank".to_owned(), IndexState::Building, 3)),
        "{reported:?}"
    );
    assert!(
        reported
            .iter()
            .any(|(index, state, _)| index == "by_note" && *state == IndexState::Dropping),
        "{reported:?}"
    );
    let by_rank = lentil_schema::RangeSpec::all("tasks", "by_rank");
    let found = runtime
        .with_query(Identity::Anonymous, async |ctx| {
            ctx.db.query_objects(by_rank.clone()).collect().await
        })
        .await
        .unwrap();
    let ranks: Vec<_> = found
        .iter()
        .map(|task| task.get("rank").unwrap().as_f64().unwrap())
        .collect();
    assert_eq!(ranks, [1.0, 2.0, 3.0]);
}

#[tokio::test]
async fn a_table_that_is_no_longer_declared_keeps_its_documents() {
    let (store, _folder) = used_store().await;
    let without = open(&store, Schema::new().with(Table::new("other")))
        .await
        .unwrap();
    let hidden = lentil_schema::RangeSpec::all("tasks", "by_creation_time");
    let refused = without
        .with_query(Identity::Anonymous, async |ctx| {
            ctx.db.query_objects(hidden.clone()).collect().await
        })
        .await;
    assert!(
        refused
            .unwrap_err()
            .message()
            .contains("table \"tasks\" is not declared")
    );
}

#[tokio::test]
async fn an_invalid_application_does_not_open() {
    async fn nothing(_ctx: &mut QueryCtx, (): ()) -> Result<()> {
        Ok(())
    }
    let store = || Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let refusal = async |application: Application| {
        Runtime::open(application, Vec::new(), store(), RuntimeOptions::default())
            .await
            .err()
            .unwrap()
            .to_string()
    };
    let twice = || Functions::in_module("m").query("f", nothing);
    assert_eq!(
        refusal(
            Application::new(Schema::new())
                .functions(twice())
                .functions(twice())
        )
        .await,
        "the functions: two functions are registered as `m:f`"
    );
    let malformed = Functions::in_module("a-b").query("f", nothing);
    assert!(
        refusal(Application::new(Schema::new()).functions(malformed))
            .await
            .contains("is not a function path")
    );
    assert!(
        refusal(Application::new(Schema::new().with(Table::new("_x"))))
            .await
            .starts_with("the schema: ")
    );
    assert!(
        refusal(Application::new(Schema::new()).secret("KEY"))
            .await
            .contains("secret `KEY` has no value")
    );
}

#[tokio::test]
async fn duplicates_fail_the_opening_with_a_unique_index() {
    let (store, _folder) = used_store().await;
    let before = store.catalog();
    for index in ["by_owner", "by_note"] {
        // The one is new, the other was there and was not unique.
        let field = index.trim_start_matches("by_");
        let unique = Schema::new()
            .with(tasks().unique_index(index, [field]))
            .with(Table::new("more"));
        let error = open(&store, unique).await.err().unwrap();
        let OpenError::SchemaViolations(violations) = &error else {
            panic!("{error}")
        };
        assert_eq!(violations.first.len(), 2, "{error}");
        assert!(
            violations.first[0].starts_with(&format!("the index tasks.{index} is unique, and")),
            "{error}"
        );
        assert_eq!(*store.catalog(), *before);
    }
    assert!(open(&store, schema()).await.is_ok());
}

#[tokio::test]
async fn an_index_can_become_unique_and_lose_it() {
    let (store, folder) = used_store().await;
    drop(store);
    let by_rank = |unique: bool| {
        let table = if unique {
            tasks().unique_index("by_rank", ["rank"])
        } else {
            tasks().index("by_rank", ["rank"])
        };
        Schema::new().with(table)
    };
    let mut ids = Vec::new();
    for (unique, refused) in [
        (true, Some(lentil::Code::UniqueIndexViolation)),
        (false, None),
    ] {
        let store = store_in(&folder);
        let runtime = open(&store, by_rank(unique)).await.unwrap();
        let add = runtime.with_mutation(Identity::Anonymous, None, async |ctx| {
            ctx.db.insert(task("bob", 2.0)).await
        });
        assert_eq!(add.await.err().map(|error| error.code()), refused);
        runtime.close().await.unwrap();
        let index = store.catalog().tables["tasks"]
            .index("by_rank")
            .unwrap()
            .clone();
        assert_eq!(index.unique, unique);
        ids.push(index.id);
    }
    assert_eq!(ids[0], ids[1], "the index is not built again");
    let refused = open(&store_in(&folder), by_rank(true)).await.err().unwrap();
    assert!(
        refused.to_string().contains("both have `rank` 2"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_index_that_was_unique_is_not_checked_again() {
    let (store, folder) = used_store().await;
    drop(store);
    let unique = || Schema::new().with(tasks().unique_index("by_rank", ["rank"]));
    for expected in [vec![3], vec![]] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let reported = Arc::clone(&seen);
        let progress = Box::new(move |progress: OpenProgress<'_>| {
            if let OpenProgress::Checking { done, .. } = progress {
                reported.lock().push(done);
            }
        });
        let options = RuntimeOptions {
            progress,
            ..RuntimeOptions::default()
        };
        let runtime = Runtime::open(
            Application::new(unique()),
            Vec::new(),
            store_in(&folder),
            options,
        )
        .await
        .unwrap();
        runtime.close().await.unwrap();
        assert_eq!(*seen.lock(), expected);
    }
}
