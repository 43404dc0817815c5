use std::sync::Arc;

use lentil::{Application, Functions, QueryCtx, Result, Schema, Table, v};
use lentil_runtime::{Identity, OpenError, OpenProgress, Runtime, RuntimeOptions};
use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_store::{IndexState, MemoryStore, Store, SystemClock};
use parking_lot::Mutex;

use crate::fixture::*;

async fn open(store: &Arc<dyn Store>, schema: Schema) -> Result<Runtime, OpenError> {
    Runtime::open(Application::new(schema), Arc::clone(store), RuntimeOptions::default()).await
}

/// A store in which the fixture's application has left three tasks and stopped.
async fn used_store() -> (Arc<dyn Store>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap());
    let runtime = open(&store, schema()).await.unwrap();
    for rank in [3.0, 1.0, 2.0] {
        runtime.with_mutation(Identity::Anonymous, async |ctx| ctx.db.insert(task("ada", rank)).await).await.unwrap();
    }
    runtime.close().await.unwrap();
    drop((runtime, store));
    (Arc::new(SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap()), folder)
}

fn tasks() -> Table {
    Table::new("tasks").field("owner", v::string()).field("rank", v::number()).optional("note", v::string())
}

#[tokio::test]
async fn documents_that_do_not_fit_refuse_the_opening_and_change_nothing() {
    let (store, _folder) = used_store().await;
    let before = store.catalog();
    let renamed = Table::new("tasks").field("owner", v::string()).field("priority", v::number());
    let misfit = open(&store, Schema::new().with(renamed).with(Table::new("more"))).await.err().unwrap();
    let OpenError::Misfits(misfits) = &misfit else { panic!("{misfit}") };
    assert_eq!(misfits.first.len(), 3);
    assert!(misfits.first[0].contains("field `rank`: unknown field"), "{misfit}");
    assert_eq!(*store.catalog(), *before);
    assert!(open(&store, schema()).await.is_ok());
}

#[tokio::test]
async fn a_new_index_is_built_over_the_documents_there_and_an_old_one_dropped() {
    let (store, _folder) = used_store().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let progress = Box::new(move |progress: OpenProgress<'_>| {
        if let OpenProgress::Index(index) = progress {
            told.lock().push((index.index.clone(), index.state, index.done));
        }
    });
    let schema = Schema::new().with(tasks().index("by_rank", ["rank"]));
    let options = RuntimeOptions { progress, ..RuntimeOptions::default() };
    let runtime = Runtime::open(Application::new(schema), store, options).await.unwrap();
    let told = seen.lock().clone();
    assert!(told.contains(&("by_rank".to_owned(), IndexState::Building, 3)), "{told:?}");
    assert!(told.iter().any(|(index, state, _)| index == "by_note" && *state == IndexState::Dropping), "{told:?}");
    let by_rank = lentil_schema::RangeSpec::all("tasks", "by_rank");
    let found = runtime
        .with_query(Identity::Anonymous, async |ctx| ctx.db.query_objects(by_rank.clone()).collect().await)
        .await
        .unwrap();
    let ranks: Vec<_> = found.iter().map(|task| task.get("rank").unwrap().as_f64().unwrap()).collect();
    assert_eq!(ranks, [1.0, 2.0, 3.0]);
}

#[tokio::test]
async fn a_table_that_is_no_longer_declared_keeps_its_documents() {
    let (store, _folder) = used_store().await;
    let without = open(&store, Schema::new().with(Table::new("other"))).await.unwrap();
    let hidden = lentil_schema::RangeSpec::all("tasks", "by_creation_time");
    let refused =
        without.with_query(Identity::Anonymous, async |ctx| ctx.db.query_objects(hidden.clone()).collect().await).await;
    assert!(refused.unwrap_err().message().contains("table \"tasks\" is not declared"));
}

#[tokio::test]
async fn an_application_that_makes_no_sense_does_not_open() {
    async fn nothing(_ctx: &mut QueryCtx, (): ()) -> Result<()> {
        Ok(())
    }
    let store = || Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let refusal = async |application: Application| {
        Runtime::open(application, store(), RuntimeOptions::default()).await.err().unwrap().to_string()
    };
    let twice = || Functions::in_module("m").query("f", nothing);
    assert_eq!(
        refusal(Application::new(Schema::new()).functions(twice()).functions(twice())).await,
        "the functions: two functions are registered as `m:f`"
    );
    let malformed = Functions::in_module("a-b").query("f", nothing);
    assert!(refusal(Application::new(Schema::new()).functions(malformed)).await.contains("is no function path"));
    assert!(refusal(Application::new(Schema::new().with(Table::new("_x")))).await.starts_with("the schema: "));
    assert!(refusal(Application::new(Schema::new()).secret("KEY")).await.contains("secret `KEY` has no value"));
}
