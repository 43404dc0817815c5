use lentil::{
    Code, Document, Error, FieldName, Functions, Id, Limits, MutationCtx, Object, Result,
    ScheduledFunction, Schema, StoredFile, Value,
};
use lentil_testing::TestBackend;
use lentil_values::{DocumentId, InternalId, TableNumber};

use crate::fixture::*;

/// A table beside the tasks.
#[derive(Document, Clone, Debug, PartialEq)]
#[table("notes")]
struct Note {
    text: String,
}

fn two_tables() -> TestBackend {
    let schema = Schema::new().table::<Task>().table::<Note>();
    TestBackend::new(schema).functions(functions())
}

/// A note's id, read as a task's.
async fn disguised(t: &TestBackend) -> Id<Task> {
    let text = "keep me".to_owned();
    let note = t.mutation(async |ctx| ctx.db.insert(Note { text: text.clone() }).await);
    note.await.unwrap().to_string().parse().unwrap()
}

fn refusal<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.code(), Code::InvalidId, "{error}");
    error.message().to_owned()
}

#[tokio::test]
async fn every_call_rejects_an_id_of_another_table() {
    for t in [two_tables(), two_tables().on_sqlite()] {
        let id = disguised(&t).await;
        let refusals = t.mutation(async |ctx| {
            Ok([
                refusal(ctx.db.get(&id).await),
                refusal(ctx.db.patch(&id, Task::patch().rank(1.0)).await),
                refusal(ctx.db.replace(&id, task("ada", 1.0)).await),
                refusal(ctx.db.delete(&id).await),
            ])
        });
        let refusals = refusals.await.unwrap();
        for (call, refusal) in ["get", "patch", "replace", "delete"].iter().zip(&refusals) {
            let sentence = format!(
                "db.{call}: \"{id}\" is an id of table \"notes\"; expected one of table \"tasks\""
            );
            assert_eq!(*refusal, sentence);
        }
        let in_query = t.query(async |ctx| ctx.db.get(&id).await);
        refusal(in_query.await);
        assert_eq!(t.documents::<Note>().await.unwrap()[0].text, "keep me");
    }
}

#[tokio::test]
async fn system_calls_reject_ids_of_other_tables() {
    let t = two_tables();
    let id = disguised(&t).await.to_string();
    let file: Id<StoredFile> = id.parse().unwrap();
    let job: Id<ScheduledFunction> = id.parse().unwrap();
    t.mutation(async |ctx| {
        for refusal in [
            refusal(ctx.storage.get_url(&file).await),
            refusal(ctx.storage.get_metadata(&file).await),
            refusal(ctx.storage.delete(&file).await),
            refusal(ctx.db.system.get(&file).await),
            refusal(ctx.db.system.get(&job).await),
            refusal(ctx.scheduler.cancel(&job).await),
        ] {
            assert!(refusal.contains("is an id of table \"notes\""), "{refusal}");
        }
        Ok(())
    })
    .await
    .unwrap();
    let from_action = t.action(async |ctx| ctx.scheduler.cancel(&job).await).await;
    assert!(refusal(from_action).contains("_scheduled_functions"));
}

#[tokio::test]
async fn ids_of_unknown_tables_and_of_system_tables_are_rejected() {
    let t = two_tables();
    let stray = DocumentId {
        table: TableNumber::new(19_999).unwrap(),
        internal: InternalId([7; 16]),
    };
    let scheduled = t.mutation(async |ctx| {
        let args = Add {
            owner: "ada".into(),
            rank: 1.0,
        };
        ctx.scheduler
            .run_after(std::time::Duration::from_secs(1), add, args)
            .await
    });
    let scheduled = scheduled.await.unwrap();
    t.mutation(async |ctx| {
        let unknown = refusal(ctx.db.get(&Id::<Task>::new(stray)).await);
        assert!(unknown.contains("of no table"), "{unknown}");
        assert_eq!(ctx.db.get_object(stray).await?, None);
        let system = Id::<Task>::new(scheduled.document_id());
        let refusal_of_system = refusal(ctx.db.delete(&system).await);
        assert!(refusal_of_system.contains("\"_scheduled_functions\""));
        refusal(ctx.db.delete_object(scheduled.document_id()).await);
        refusal(ctx.db.get(&scheduled).await);
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_documents_own_system_fields_may_be_written_back() {
    let t = backend();
    fill(&t, "ada", [1.0]).await;
    let stored = t.table("tasks").await.unwrap().remove(0);
    let id: DocumentId = stored
        .get("_id")
        .unwrap()
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let changed = |name: &'static str, value: Value| {
        let mut document = stored.clone();
        document.insert(FieldName::from_static("rank"), Value::Float64(9.0));
        document.insert(FieldName::from_static(name), value);
        document
    };
    let as_changes = |document: &Object| -> Vec<(FieldName, Option<Value>)> {
        let fields = document.clone().into_iter();
        fields.map(|(name, value)| (name, Some(value))).collect()
    };
    let write = async |document: Object| {
        let patched = t.mutation(async |ctx| ctx.db.patch_object(id, as_changes(&document)).await);
        let patched = patched.await.map_err(|error| error.code());
        let replaced = t.mutation(async |ctx| ctx.db.replace_object(id, document.clone()).await);
        [patched, replaced.await.map_err(|error| error.code())]
    };
    assert_eq!(write(changed("note", "as it is".into())).await, [Ok(()); 2]);
    assert_eq!(t.documents::<Task>().await.unwrap()[0].rank, 9.0);
    let other = "j57000820c20a1g7104gm2rc1m70ynr8";
    for (name, value, code) in [
        ("_id", other.into(), Code::InvalidId),
        ("_id", Value::Null, Code::InvalidId),
        ("_creationTime", 5.0.into(), Code::InvalidCreationTime),
        ("_x", 5.0.into(), Code::SchemaEnforcement),
    ] {
        assert_eq!(write(changed(name, value)).await, [Err(code); 2]);
    }
    let removed = t.mutation(async |ctx| {
        let removed = vec![(FieldName::from_static("_id"), None)];
        ctx.db.patch_object(id, removed).await
    });
    refusal(removed.await);
}

#[tokio::test]
async fn rolled_back_nested_writes_do_not_count_against_the_limits() {
    async fn fill_up(ctx: &mut MutationCtx, (): ()) -> Result<()> {
        for rank in 0..5 {
            ctx.db.insert(task("ada", f64::from(rank))).await?;
            let args = Add {
                owner: "ada".into(),
                rank: 1.0,
            };
            ctx.scheduler
                .run_after(std::time::Duration::from_secs(1), add, args)
                .await?;
        }
        Err(Error::msg("no"))
    }
    let mut limits = Limits::default();
    limits.documents_written = 6;
    limits.bytes_written = 1_000;
    limits.scheduled_functions = 6;
    let more = Functions::in_module("more").mutation("fill_up", fill_up);
    let t = backend().functions(more).limits(limits);
    t.mutation(async |ctx| {
        for _ in 0..10 {
            let failed = ctx.run_mutation(fill_up, ()).await.unwrap_err();
            assert_eq!(failed.message(), "no");
        }
        // A write that is refused does not count either.
        let mut large = task("ada", 6.0);
        large.note = Some("x".repeat(2_000));
        let refused = ctx.db.insert(large).await.unwrap_err();
        assert_eq!(refused.code(), Code::LimitExceeded);
        for rank in 0..6 {
            ctx.db.insert(task("ada", f64::from(rank))).await?;
        }
        let over = ctx.db.insert(task("ada", 6.0)).await.unwrap_err();
        assert_eq!(over.code(), Code::LimitExceeded);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(t.documents::<Task>().await.unwrap().len(), 6);
    assert_eq!(t.run_due().await.unwrap(), 0);
}

#[tokio::test]
async fn now_is_a_whole_number_of_milliseconds_in_every_context() {
    let t = backend();
    t.clock().set_ms(1_795_865_107_265.75);
    let whole = 1_795_865_107_265.0;
    assert_eq!(t.query(async |ctx| ctx.now()).await.unwrap(), whole);
    assert_eq!(t.mutation(async |ctx| ctx.now()).await.unwrap(), whole);
    assert_eq!(t.action(async |ctx| Ok(ctx.now())).await.unwrap(), whole);
    fill(&t, "ada", [1.0]).await;
    let created = t.documents::<Task>().await.unwrap()[0].creation_time;
    assert_eq!(created, 1_795_865_107_265.75);
}
