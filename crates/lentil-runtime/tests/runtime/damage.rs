//! Damaged documents. A live query that read one was once retried for ever, with all others of its client.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use lentil::{Application, Object, Value};
use lentil_runtime::{Code, FunctionPath, Identity, Runtime, RuntimeOptions};
use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_store::Timestamp;

use crate::fixture::*;

async fn open(folder: &Path) -> Runtime {
    let store = SqliteStore::open(folder, SqliteOptions::default()).unwrap();
    let application = Application::new(schema()).functions(functions());
    Runtime::open(application, Arc::new(store), RuntimeOptions::default())
        .await
        .unwrap()
}

/// Flips a bit of each document in a database file that has this owner.
fn damage(folder: &Path, owner: &str) {
    let path = folder.join("lentil.sqlite3");
    let mut bytes = fs::read(&path).unwrap();
    let json = format!("\"owner\":\"{owner}\"").into_bytes();
    let mut damaged = 0;
    for at in 0..bytes.len() - json.len() {
        if bytes[at..].starts_with(&json) {
            bytes[at + json.len() - 2] ^= 1;
            damaged += 1;
        }
    }
    assert!(damaged > 0);
    fs::write(path, bytes).unwrap();
}

fn list_of(owner: &str) -> (FunctionPath, Object) {
    let path = FunctionPath::parse("tasks:list").unwrap();
    (path, Object::from([("owner", owner)]))
}

#[tokio::test]
async fn a_damaged_document_fails_only_the_calls_that_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = open(folder.path()).await;
    for owner in ["bob", "ada"] {
        let added = runtime.with_mutation(Identity::Anonymous, None, async |ctx| {
            ctx.db.insert(task(owner, 1.0)).await
        });
        added.await.unwrap();
    }
    runtime.close().await.unwrap();
    drop(runtime);
    // It is the last one, whose creation time the start reads.
    damage(folder.path(), "ada");

    let runtime = open(folder.path()).await;
    let mut client = runtime.subscriber(Identity::Anonymous);
    for (number, owner) in [(1, "ada"), (2, "bob")] {
        let (path, args) = list_of(owner);
        client.add(number, path, args, None);
    }
    let update = client.refresh(Timestamp::MIN).await;
    for (number, run) in &update.changes {
        match (number, &run.result) {
            (1, Err(error)) => {
                assert_eq!(error.code(), Code::DamagedData);
                let sentence = error.message();
                assert!(
                    sentence.contains("of the table `tasks` is damaged"),
                    "{sentence}"
                );
            }
            (2, Ok(value)) => assert!(matches!(&**value, Value::Array(tasks) if tasks.len() == 1)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(update.changes.len(), 2);
    let added = runtime.with_mutation(Identity::Anonymous, None, async |ctx| {
        ctx.db.insert(task("bob", 2.0)).await
    });
    added.await.unwrap();
    assert_eq!(client.refresh(Timestamp::MIN).await.changes.len(), 1);
}
