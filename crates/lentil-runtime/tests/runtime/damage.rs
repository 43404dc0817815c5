//! Damaged documents.
//!
//! A live query that read one was once retried without end, and so were all other queries of its
//! client.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lentil::{Application, Crons, Object, Value};
use lentil_runtime::{Code, FunctionPath, Identity, Runtime, RuntimeOptions};
use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_store::Timestamp;
use lentil_system::{System, scheduler, sessions};

use crate::fixture::*;

const HOUR: Duration = Duration::from_secs(3_600);

async fn open(folder: &Path) -> (Runtime, System) {
    let store = SqliteStore::open(folder, SqliteOptions::default()).unwrap();
    let crons = Crons::new()
        .interval("hourly", HOUR, add, to_add("cron", 1.0))
        .interval("rarely", 2 * HOUR, add, to_add("rare", 1.0));
    let application = Application::new(schema()).functions(functions());
    let system = System::new(&application, crons).unwrap();
    let options = RuntimeOptions::default();
    let runtime = Runtime::open(application, system.modules(), Arc::new(store), options).await;
    (runtime.unwrap(), system)
}

fn to_add(owner: &str, rank: f64) -> Add {
    Add {
        owner: owner.to_owned(),
        rank,
    }
}

/// Flips a bit of each document in a database file that has this text in a field.
fn damage(folder: &Path, field: &str, text: &str) {
    let path = folder.join("lentil.sqlite3");
    let mut bytes = fs::read(&path).unwrap();
    let json = format!("\"{field}\":\"{text}\"").into_bytes();
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
async fn damaged_document_fails_only_the_calls_that_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let (runtime, _) = open(folder.path()).await;
    for owner in ["bob", "ada"] {
        let added = runtime.with_mutation(Identity::Anonymous, None, async |ctx| {
            ctx.db.insert(task(owner, 1.0)).await
        });
        added.await.unwrap();
    }
    runtime.close().await.unwrap();
    drop(runtime);
    // It is the last one, whose creation time the start reads.
    damage(folder.path(), "owner", "ada");

    let (runtime, _) = open(folder.path()).await;
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

#[tokio::test]
async fn damaged_scheduled_function_or_cron_is_skipped_and_the_others_run() {
    let folder = tempfile::tempdir().unwrap();
    let (runtime, system) = open(folder.path()).await;
    system.declare_crons(&runtime, 0.0).await.unwrap();
    let scheduled = runtime.with_mutation(Identity::Anonymous, None, async |ctx| {
        for (owner, rank) in [("ada", 1.0), ("bob", 1.0), ("ada", 2.0), ("bob", 2.0)] {
            ctx.scheduler
                .run_after(Duration::ZERO, add, to_add(owner, rank))
                .await?;
        }
        Ok(())
    });
    scheduled.await.unwrap();
    runtime.close().await.unwrap();
    drop(runtime);
    damage(folder.path(), "owner", "ada");
    damage(folder.path(), "name", "hourly");

    let (runtime, system) = open(folder.path()).await;
    // Two scheduled functions and the other cron, which calls one. The damaged cron is planned
    // again at the next start.
    assert_eq!(system.run_due(&runtime).await.unwrap(), 3);
    for (owner, ran) in [("ada", 0), ("bob", 2), ("rare", 1), ("cron", 0)] {
        let tasks = runtime.with_mutation(Identity::Anonymous, None, async |ctx| {
            let owner = owner.to_owned();
            ctx.run_query(list, List { owner }).await
        });
        assert_eq!(tasks.await.unwrap().len(), ran, "{owner}");
    }
    system.declare_crons(&runtime, 0.0).await.unwrap();
    assert_eq!(system.run_due(&runtime).await.unwrap(), 1);
    assert_eq!(scheduler::prune(&runtime, f64::MAX).await.unwrap(), 4);
    assert_eq!(sessions::prune(&runtime, f64::MAX).await.unwrap(), 0);
}
