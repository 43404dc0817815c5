use lentil::{Code, Document, Order};

use crate::fixture::*;

#[tokio::test]
async fn a_query_reads_its_range_in_the_indexs_order() {
    for t in backends() {
        fill(&t, "bob", [7.0]).await;
        fill(&t, "ada", [3.0, 1.0, 2.0]).await;
        t.query(async |ctx| {
            let by_owner = Task::BY_OWNER_AND_RANK;
            assert_eq!(
                ranks(&ctx.db.query(by_owner.eq("ada")).collect().await?),
                [1.0, 2.0, 3.0]
            );
            let descending = ctx.db.query(by_owner.eq("ada")).order(Order::Desc);
            assert_eq!(ranks(&descending.collect().await?), [3.0, 2.0, 1.0]);
            let bounded = by_owner.eq("ada").gt(1.0).lte(3.0);
            assert_eq!(ranks(&ctx.db.query(bounded).take(1).await?), [2.0]);
            assert_eq!(
                ctx.db
                    .query(by_owner.eq("ada"))
                    .first()
                    .await?
                    .unwrap()
                    .rank,
                1.0
            );
            assert_eq!(
                ctx.db
                    .query(by_owner.eq("ada").eq(2.0))
                    .unique()
                    .await?
                    .unwrap()
                    .rank,
                2.0
            );
            assert_eq!(ctx.db.query(by_owner.all()).count().await?, 4);
            assert_eq!(
                ranks(&ctx.db.query(by_owner.gte("b")).collect().await?),
                [7.0]
            );
            assert_eq!(
                ranks(&ctx.db.query(Task::all()).collect().await?),
                [7.0, 3.0, 1.0, 2.0]
            );
            assert!(ctx.db.query(by_owner.eq("eve")).first().await?.is_none());
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn unique_fails_on_two_documents() {
    let t = backend();
    fill(&t, "ada", [1.0, 2.0]).await;
    let refused = t
        .query(async |ctx| {
            ctx.db
                .query(Task::BY_OWNER_AND_RANK.eq("ada"))
                .unique()
                .await
        })
        .await;
    let error = refused.unwrap_err();
    assert_eq!(error.code(), Code::NotUnique);
    assert!(
        error
            .message()
            .starts_with("db.query(tasks.by_owner_and_rank).unique"),
        "{}",
        error.message()
    );
}

#[tokio::test]
async fn a_filter_keeps_matching_documents_and_may_borrow() {
    let t = backend();
    fill(&t, "ada", (0..200).map(f64::from)).await;
    let least = 190.0;
    let found = t.query(async |ctx| {
        let large = ctx
            .db
            .query(Task::BY_OWNER_AND_RANK.eq("ada"))
            .filter(|task| task.rank >= least);
        large.filter(|task| task.rank % 2.0 == 0.0).take(3).await
    });
    assert_eq!(ranks(&found.await.unwrap()), [190.0, 192.0, 194.0]);
}

#[tokio::test]
async fn a_missing_field_is_a_key_of_its_own() {
    for t in backends() {
        fill(&t, "ada", [1.0]).await;
        let noted = Task {
            note: Some("x".into()),
            ..task("ada", 2.0)
        };
        t.mutation(async |ctx| ctx.db.insert(noted.clone()).await)
            .await
            .unwrap();
        t.query(async |ctx| {
            assert_eq!(
                ranks(&ctx.db.query(Task::BY_NOTE.eq(None)).collect().await?),
                [1.0]
            );
            assert_eq!(
                ranks(&ctx.db.query(Task::BY_NOTE.eq("x")).collect().await?),
                [2.0]
            );
            assert_eq!(
                ranks(&ctx.db.query(Task::BY_NOTE.gt(None)).collect().await?),
                [2.0]
            );
            assert_eq!(
                ranks(&ctx.db.query(Task::BY_NOTE.lt("x")).collect().await?),
                [1.0]
            );
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn an_id_is_normalized_only_for_its_table() {
    let t = backend();
    let id = t
        .mutation(async |ctx| ctx.db.insert(task("ada", 1.0)).await)
        .await
        .unwrap();
    t.query(async |ctx| {
        assert_eq!(ctx.db.normalize_id::<Task>(&id.to_string()), Some(id));
        assert_eq!(ctx.db.normalize_id::<Task>("nonsense"), None);
        assert_eq!(ctx.db.get(&id).await?.unwrap().rank, 1.0);
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_large_range_is_read_completely() {
    for t in backends() {
        t.mutation(async |ctx| {
            for rank in 0..2_500 {
                ctx.db.insert(task("ada", f64::from(rank))).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
        let all = t
            .query(async |ctx| {
                ctx.db
                    .query(Task::BY_OWNER_AND_RANK.eq("ada"))
                    .collect()
                    .await
            })
            .await
            .unwrap();
        assert!(ranks(&all).into_iter().eq((0..2_500).map(f64::from)));
    }
}
