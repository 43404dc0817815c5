use lentil::{Code, Document, Limits, QueryCtx, Result};

use crate::fixture::*;

fn limited(set: impl FnOnce(&mut Limits)) -> lentil_testing::TestBackend {
    let mut limits = Limits::default();
    set(&mut limits);
    backend().limits(limits)
}

#[tokio::test]
async fn a_count_covers_the_range_of_any_index() {
    for t in backends() {
        fill(&t, "ada", (0..30).map(f64::from)).await;
        fill(&t, "bob", [1.0]).await;
        t.query(async |ctx| {
            let by_owner = Task::BY_OWNER_AND_RANK;
            assert_eq!(ctx.db.query(by_owner.all()).count().await?, 31);
            assert_eq!(ctx.db.query(by_owner.eq("ada")).count().await?, 30);
            assert_eq!(
                ctx.db
                    .query(by_owner.eq("ada").gte(10.0).lt(20.0))
                    .count()
                    .await?,
                10
            );
            assert_eq!(ctx.db.query(by_owner.eq("eve")).count().await?, 0);
            assert_eq!(ctx.db.query(Task::BY_NOTE.eq(None)).count().await?, 31);
            let fifth = ctx.db.query(Task::all()).take(5).await?.remove(4);
            assert_eq!(
                ctx.db
                    .query(Task::BY_CREATION_TIME.gt(fifth.creation_time))
                    .count()
                    .await?,
                26
            );
            assert_eq!(ctx.db.query(Task::BY_ID.lte(fifth.id)).count().await?, 5);
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_mutation_counts_what_it_has_written() {
    for t in backends() {
        fill(&t, "ada", [1.0, 2.0, 3.0]).await;
        t.mutation(async |ctx| {
            let tasks = ctx.db.query(Task::all()).collect().await?;
            ctx.db.insert(task("ada", 4.0)).await?;
            ctx.db.delete(&tasks[0].id).await?;
            ctx.db
                .patch(&tasks[1].id, Task::patch().owner("bob"))
                .await?;
            ctx.db.patch(&tasks[2].id, Task::patch().note("x")).await?;
            assert_eq!(
                ctx.db
                    .query(Task::BY_OWNER_AND_RANK.eq("ada"))
                    .count()
                    .await?,
                2
            );
            assert_eq!(
                ctx.db
                    .query(Task::BY_OWNER_AND_RANK.eq("bob"))
                    .count()
                    .await?,
                1
            );
            assert_eq!(ctx.db.query(Task::BY_ID).count().await?, 3);
            assert_eq!(
                ctx.db
                    .query(Task::BY_CREATION_TIME.gt(tasks[1].creation_time))
                    .count()
                    .await?,
                2
            );
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn only_a_filtered_count_reads_documents() {
    for t in [
        limited(|limits| limits.documents_read = 5),
        limited(|limits| limits.documents_read = 5).on_sqlite(),
    ] {
        fill(&t, "ada", (0..9).map(f64::from)).await;
        let counted = t.query(async |ctx| {
            let first = ctx.db.query(Task::BY_NOTE).count().await?;
            Ok((first, ctx.db.query(Task::BY_ID).count().await?))
        });
        assert_eq!(counted.await.unwrap(), (9, 9));
        let filtered = t.query(async |ctx| {
            ctx.db
                .query(Task::BY_NOTE)
                .filter(|task| task.rank < 3.0)
                .count()
                .await
        });
        let error = filtered.await.unwrap_err();
        assert_eq!(
            error.message(),
            "db.query(tasks.by_note).count: too many documents read in one call: the limit is 5"
        );
    }
}

#[tokio::test]
async fn counting_has_a_limit_of_its_own() {
    let t = limited(|limits| limits.entries_counted = 12);
    fill(&t, "ada", (0..9).map(f64::from)).await;
    let twice = t.query(async |ctx| {
        assert_eq!(ctx.db.query(Task::BY_NOTE).count().await?, 9);
        ctx.db.query(Task::BY_NOTE).count().await
    });
    let error = twice.await.unwrap_err();
    assert_eq!(error.code(), Code::LimitExceeded);
    let sentence = "db.query(tasks.by_note).count: too many index entries counted in one call: the limit is 12";
    assert_eq!(error.message(), sentence);
}

#[tokio::test]
async fn an_index_that_is_not_declared_cannot_be_counted() {
    let t = backend();
    let unknown = lentil_schema::RangeSpec::all("tasks", "by_nothing");
    let refused = t
        .query(async |ctx| ctx.db.query_objects(unknown.clone()).count().await)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidQuery);
}

async fn count(ctx: &mut QueryCtx, (): ()) -> Result<usize> {
    ctx.db.query(Task::all()).count().await
}

async fn largest_count(_ctx: &mut QueryCtx, (): ()) -> Result<usize> {
    Ok(usize::MAX)
}

#[tokio::test]
async fn a_function_returns_a_count_that_is_an_exact_number() {
    let functions = functions()
        .query("count", count)
        .query("largestCount", largest_count);
    let t = lentil_testing::TestBackend::new(schema()).functions(functions);
    fill(&t, "ada", [1.0, 2.0]).await;
    assert_eq!(t.run_query(count, ()).await.unwrap(), 2);

    let error = t.run_query(largest_count, ()).await.unwrap_err();
    assert_eq!(error.code(), Code::ReturnsValidation);
}
