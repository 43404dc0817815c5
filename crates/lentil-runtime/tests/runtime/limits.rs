use lentil::{Code, Limits, Object, Value};

use crate::fixture::*;

fn limited(set: impl FnOnce(&mut Limits)) -> lentil_testing::TestBackend {
    let mut limits = Limits::default();
    set(&mut limits);
    backend().limits(limits)
}

async fn collect_all(t: &lentil_testing::TestBackend) -> lentil::Result<usize> {
    t.query(async |ctx| Ok(ctx.db.query(Task::BY_NOTE).collect().await?.len()))
        .await
}

#[tokio::test]
async fn reads_over_a_limit_fail_and_name_the_call() {
    let t = limited(|limits| limits.documents_read = 5);
    fill(&t, "ada", (0..5).map(f64::from)).await;
    assert_eq!(collect_all(&t).await.unwrap(), 5);
    fill(&t, "ada", [5.0]).await;
    let error = collect_all(&t).await.unwrap_err();
    assert_eq!(error.code(), Code::LimitExceeded);
    let sentence =
        "db.query(tasks.by_note).collect: too many documents read in one call: the limit is 5";
    assert_eq!(error.message(), sentence);

    let t = limited(|limits| limits.bytes_read = 300);
    fill(&t, "ada", (0..9).map(f64::from)).await;
    assert!(
        collect_all(&t)
            .await
            .unwrap_err()
            .message()
            .contains("bytes read")
    );

    let t = limited(|limits| limits.ranges_read = 2);
    let thrice = t.query(async |ctx| {
        for _ in 0..3 {
            ctx.db.query(Task::BY_NOTE).first().await?;
        }
        Ok(())
    });
    assert!(
        thrice
            .await
            .unwrap_err()
            .message()
            .contains("index ranges read")
    );
}

#[tokio::test]
async fn writes_over_a_limit_fail_and_undo_the_mutation() {
    let t = limited(|limits| limits.documents_written = 2);
    let thrice = t.mutation(async |ctx| {
        for rank in 0..3 {
            ctx.db.insert(task("ada", f64::from(rank))).await?;
        }
        Ok(())
    });
    let error = thrice.await.unwrap_err();
    assert_eq!(
        error.message(),
        "db.insert: too many documents written in one call: the limit is 2"
    );
    assert!(t.documents::<Task>().await.unwrap().is_empty());

    let t = limited(|limits| limits.bytes_written = 150);
    let much = t.mutation(async |ctx| {
        ctx.db.insert(task("ada", 1.0)).await?;
        ctx.db.insert(task("ada", 2.0)).await
    });
    assert!(much.await.unwrap_err().message().contains("bytes written"));
}

#[tokio::test]
async fn documents_are_limited_in_size_and_nesting() {
    let t = limited(|limits| limits.document_bytes = 1_000);
    let large = t
        .mutation(async |ctx| ctx.db.insert(task(&"x".repeat(1_000), 1.0)).await)
        .await
        .unwrap_err();
    assert_eq!(large.code(), Code::ValueTooLarge);
    assert!(
        large.message().contains("table \"tasks\" would be"),
        "{}",
        large.message()
    );

    let deep = (0..20).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    let refused = backend();
    let refused = refused.mutation(async |ctx| {
        ctx.db
            .insert_object("tasks", Object::from([("owner", deep.clone())]))
            .await
    });
    assert!(
        refused
            .await
            .unwrap_err()
            .message()
            .contains("nested 21 levels deep; the limit is 16")
    );
}

#[tokio::test]
async fn arguments_are_limited_in_size() {
    let t = limited(|limits| limits.argument_bytes = 100);
    let args = Object::from([
        ("owner", Value::from("x".repeat(100))),
        ("rank", 1.0.into()),
    ]);
    let error = t.call("tasks:add", args).await.unwrap_err();
    assert_eq!(error.code(), Code::ValueTooLarge);
    assert!(
        error.message().starts_with("the arguments of `tasks:add`"),
        "{}",
        error.message()
    );
}
