use lentil::{Code, Document, Object};

use crate::fixture::*;

#[tokio::test]
async fn a_mutation_reads_its_own_writes_in_order() {
    for t in backends() {
        fill(&t, "ada", [1.0, 3.0, 5.0]).await;
        t.mutation(async |ctx| {
            let range = || Task::BY_OWNER_AND_RANK.eq("ada");
            let tasks = ctx.db.query(range()).collect().await?;
            ctx.db.insert(task("ada", 2.0)).await?;
            ctx.db.patch(&tasks[2].id, Task::patch().rank(0.0)).await?;
            ctx.db.delete(&tasks[0].id).await?;
            assert_eq!(
                ranks(&ctx.db.query(range()).collect().await?),
                [0.0, 2.0, 3.0]
            );
            assert_eq!(ranks(&ctx.db.query(range()).take(2).await?), [0.0, 2.0]);
            assert!(ctx.db.get(&tasks[0].id).await?.is_none());
            Ok(())
        })
        .await
        .unwrap();
        let after = t
            .query(async |ctx| {
                ctx.db
                    .query(Task::BY_OWNER_AND_RANK.eq("ada"))
                    .collect()
                    .await
            })
            .await;
        assert_eq!(ranks(&after.unwrap()), [0.0, 2.0, 3.0]);
    }
}

#[tokio::test]
async fn a_patch_sets_clears_and_leaves_alone() {
    let t = backend();
    let id = t
        .mutation(async |ctx| ctx.db.insert(task("ada", 1.0)).await)
        .await
        .unwrap();
    let patched = async |patch: TaskPatch| {
        t.mutation(async |ctx| ctx.db.patch(&id, patch.clone()).await)
            .await
            .unwrap();
        t.documents::<Task>().await.unwrap().remove(0).fields
    };
    let noted = Task {
        note: Some("x".into()),
        ..task("ada", 1.0)
    };
    assert_eq!(patched(Task::patch().note("x")).await, noted);
    assert_eq!(patched(Task::patch().note_if_some(None)).await, noted);
    assert_eq!(
        patched(Task::patch().rank(2.0).clear_note()).await,
        task("ada", 2.0)
    );
}

#[tokio::test]
async fn a_write_without_changes_is_not_committed() {
    let t = backend();
    let id = t
        .mutation(async |ctx| ctx.db.insert(task("ada", 1.0)).await)
        .await
        .unwrap();
    let published = t.runtime().await.store().published();
    t.mutation(async |ctx| ctx.db.patch(&id, Task::patch().rank(1.0)).await)
        .await
        .unwrap();
    t.mutation(async |ctx| ctx.db.replace(&id, task("ada", 1.0)).await)
        .await
        .unwrap();
    t.mutation(async |ctx| {
        let id = ctx.db.insert(task("ada", 2.0)).await?;
        ctx.db.delete(&id).await
    })
    .await
    .unwrap();
    assert_eq!(t.runtime().await.store().published(), published);
}

#[tokio::test]
async fn a_missing_document_cannot_be_changed() {
    let t = backend();
    let id = t
        .mutation(async |ctx| ctx.db.insert(task("ada", 1.0)).await)
        .await
        .unwrap();
    t.mutation(async |ctx| ctx.db.delete(&id).await)
        .await
        .unwrap();
    let codes = [
        t.mutation(async |ctx| ctx.db.patch(&id, Task::patch().rank(1.0)).await)
            .await
            .unwrap_err()
            .code(),
        t.mutation(async |ctx| ctx.db.replace(&id, task("ada", 1.0)).await)
            .await
            .unwrap_err()
            .code(),
        t.mutation(async |ctx| ctx.db.delete(&id).await)
            .await
            .unwrap_err()
            .code(),
    ];
    assert_eq!(codes, [Code::NonexistentDocument; 3]);
}

#[tokio::test]
async fn an_invalid_document_is_rejected_and_the_mutation_can_continue() {
    let t = backend();
    t.mutation(async |ctx| {
        let refused = ctx
            .db
            .insert_object("tasks", Object::from([("owner", 1.0)]))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::SchemaEnforcement);
        assert!(
            refused
                .message()
                .contains("field `owner`: expected v.string(), got 1"),
            "{}",
            refused.message()
        );
        let unknown = ctx
            .db
            .insert_object("nothing", Object::new())
            .await
            .unwrap_err();
        assert_eq!(unknown.code(), Code::InvalidQuery);
        ctx.db.insert(task("ada", 1.0)).await
    })
    .await
    .unwrap();
    assert_eq!(t.documents::<Task>().await.unwrap().len(), 1);
}

#[tokio::test]
async fn creation_times_increase_when_the_clock_stands_still() {
    let t = backend();
    fill(&t, "ada", (0..10).map(f64::from)).await;
    let tasks = t.documents::<Task>().await.unwrap();
    assert!(tasks.is_sorted_by(|a, b| a.creation_time < b.creation_time && a.id < b.id));
    assert!(ranks(&tasks).is_sorted());
}

#[tokio::test]
async fn a_mutation_can_write_between_pages() {
    for t in backends() {
        fill(&t, "ada", (0..25).map(f64::from)).await;
        let seen = t.mutation(async |ctx| {
            let mut seen = Vec::new();
            let mut pages = ctx
                .db
                .query(Task::BY_OWNER_AND_RANK.eq("ada"))
                .filter(|task| task.rank != 3.0)
                .pages(10)?;
            while let Some(tasks) = pages.next(&mut ctx.db).await? {
                for task in &tasks {
                    ctx.db.delete(&task.id).await?;
                }
                seen.push(tasks.len());
            }
            Ok(seen)
        });
        assert_eq!(seen.await.unwrap(), [9, 10, 5]);
        assert_eq!(ranks(&t.documents::<Task>().await.unwrap()), [3.0]);
    }
}

#[tokio::test]
async fn a_seed_repeats_an_execution() {
    let run = async |seed| {
        let t = backend().seed(seed);
        fill(&t, "ada", [1.0, 2.0]).await;
        let random = t.mutation(async |ctx| Ok(ctx.random())).await.unwrap();
        (t.documents::<Task>().await.unwrap(), random)
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}
