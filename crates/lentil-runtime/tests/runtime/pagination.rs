use lentil::{
    Args, Code, Doc, Functions, Object, PaginationOptions, PaginationResult, QueryCtx, Result,
    Value, ValueType,
};
use lentil_runtime::{FunctionPath, Identity};
use lentil_store::Timestamp;
use lentil_testing::TestBackend;

use crate::fixture::*;

#[derive(Args, Clone)]
struct Page {
    owner: String,
    pagination_opts: PaginationOptions,
}

async fn page(ctx: &mut QueryCtx, args: Page) -> Result<PaginationResult<Doc<Task>>> {
    ctx.db
        .query(Task::BY_OWNER_AND_RANK.eq(args.owner))
        .paginate(args.pagination_opts)
        .await
}

async fn read(
    t: &TestBackend,
    owner: &str,
    options: PaginationOptions,
) -> Result<PaginationResult<Doc<Task>>> {
    let args = Page {
        owner: owner.into(),
        pagination_opts: options,
    };
    t.query(async |ctx| page(ctx, args).await).await
}

#[tokio::test]
async fn pages_have_no_gaps_and_no_overlaps() {
    for t in backends() {
        fill(&t, "ada", (0..7).map(f64::from)).await;
        let first = read(&t, "ada", PaginationOptions::first(3)).await.unwrap();
        assert_eq!(
            (ranks(&first.page), first.is_done),
            (vec![0.0, 1.0, 2.0], false)
        );
        let second = read(
            &t,
            "ada",
            PaginationOptions::after(&first.continue_cursor, 3),
        )
        .await
        .unwrap();
        assert_eq!(ranks(&second.page), [3.0, 4.0, 5.0]);
        let third = read(
            &t,
            "ada",
            PaginationOptions::after(&second.continue_cursor, 3),
        )
        .await
        .unwrap();
        assert_eq!((ranks(&third.page), third.is_done), (vec![6.0], true));
        let full = PaginationOptions::after(&second.continue_cursor, 1);
        let full = read(&t, "ada", full).await.unwrap();
        assert_eq!((ranks(&full.page), full.is_done), (vec![6.0], false));
        let beyond = read(
            &t,
            "ada",
            PaginationOptions::after(&third.continue_cursor, 3),
        )
        .await
        .unwrap();
        assert_eq!((ranks(&beyond.page), beyond.is_done), (vec![], true));
    }
}

#[tokio::test]
async fn an_end_cursor_makes_the_page_grow_with_its_documents() {
    let t = backend();
    fill(&t, "ada", [1.0, 2.0, 3.0, 4.0]).await;
    let first = read(&t, "ada", PaginationOptions::first(2)).await.unwrap();
    fill(&t, "ada", [1.5]).await;
    let again = PaginationOptions {
        end_cursor: Some(first.continue_cursor.clone()),
        ..PaginationOptions::first(2)
    };
    let again = read(&t, "ada", again).await.unwrap();
    assert_eq!(ranks(&again.page), [1.0, 1.5, 2.0]);
    assert_eq!(again.continue_cursor, first.continue_cursor);
}

#[tokio::test]
async fn a_journal_makes_the_page_grow_with_its_documents() {
    let t = backend().functions(Functions::in_module("pages").query("page", page));
    fill(&t, "ada", [1.0, 2.0, 3.0, 4.0]).await;
    let call = async |journal: Option<String>| {
        let args = Page {
            owner: "ada".into(),
            pagination_opts: PaginationOptions::first(2),
        };
        let mut client = t.runtime().await.subscriber(Identity::Anonymous);
        client.add(
            0,
            FunctionPath::parse("pages:page").unwrap(),
            args.into_object(),
            journal,
        );
        let update = client.refresh(Timestamp::MIN).await;
        let page = update.changes[0].1.result.clone().unwrap();
        let page = page
            .as_object()
            .unwrap()
            .get("page")
            .unwrap()
            .as_array()
            .unwrap()
            .len();
        (page, client.journal(0).map(str::to_owned))
    };
    let (length, journal) = call(None).await;
    assert_eq!(length, 2);
    fill(&t, "ada", [1.5, 1.7]).await;
    assert_eq!(call(journal.clone()).await, (4, journal));
    assert_eq!(call(None).await.0, 2);
}

#[tokio::test]
async fn a_cursor_belongs_to_its_query() {
    let t = backend();
    fill(&t, "ada", [1.0, 2.0, 3.0]).await;
    let cursor = read(&t, "ada", PaginationOptions::first(1))
        .await
        .unwrap()
        .continue_cursor;
    for (owner, cursor) in [
        ("bob", cursor.as_str()),
        ("ada", "nonsense"),
        ("ada", ""),
        ("ada", "é"),
    ] {
        let error = read(&t, owner, PaginationOptions::after(cursor, 1))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::InvalidCursor);
        assert!(
            error.message().contains("InvalidCursor"),
            "clients look for the word: {}",
            error.message()
        );
        let data = error.data().unwrap().as_object().unwrap();
        assert_eq!(
            data.get("paginationError"),
            Some(&Value::from("InvalidCursor"))
        );
    }
}

#[tokio::test]
async fn a_page_that_ends_early_requires_a_split() {
    let t = backend();
    fill(&t, "ada", (0..9).map(f64::from)).await;
    let options = PaginationOptions {
        maximum_rows_read: Some(4.0),
        ..PaginationOptions::first(8)
    };
    let cut = read(&t, "ada", options).await.unwrap();
    assert_eq!((cut.page.len(), cut.is_done), (4, false));
    assert_eq!(cut.page_status, Some(lentil::PageStatus::SplitRequired));
    let split = cut.split_cursor.unwrap();
    let half = PaginationOptions {
        end_cursor: Some(split),
        ..PaginationOptions::first(8)
    };
    assert_eq!(
        ranks(&read(&t, "ada", half).await.unwrap().page),
        [0.0, 1.0, 2.0]
    );
    let rest = read(&t, "ada", PaginationOptions::after(cut.continue_cursor, 8))
        .await
        .unwrap();
    assert_eq!(ranks(&rest.page), [4.0, 5.0, 6.0, 7.0, 8.0]);
}

#[tokio::test]
async fn invalid_options_are_rejected() {
    let t = backend();
    for options in [
        PaginationOptions::first(0),
        PaginationOptions::first(32_001),
        PaginationOptions {
            num_items: -1.0,
            ..PaginationOptions::default()
        },
        PaginationOptions {
            num_items: 2.5,
            ..PaginationOptions::default()
        },
        PaginationOptions {
            maximum_bytes_read: Some(2.5),
            ..PaginationOptions::first(1)
        },
        PaginationOptions {
            num_items: f64::NAN,
            ..PaginationOptions::default()
        },
        PaginationOptions {
            maximum_rows_read: Some(0.0),
            ..PaginationOptions::first(1)
        },
    ] {
        assert_eq!(
            read(&t, "ada", options).await.unwrap_err().code(),
            Code::InvalidQuery
        );
    }
    let twice = t.query(async |ctx| {
        let range = || Task::BY_OWNER_AND_RANK.eq("ada");
        ctx.db
            .query(range())
            .paginate(PaginationOptions::first(1))
            .await?;
        ctx.db
            .query(range())
            .paginate(PaginationOptions::first(1))
            .await
    });
    assert!(
        twice
            .await
            .unwrap_err()
            .message()
            .contains("may paginate once")
    );
}

#[test]
fn options_are_read_as_the_official_client_sends_them() {
    let sent = Object::from([
        ("numItems", Value::from(5.0)),
        ("cursor", Value::Null),
        ("id", 1.0.into()),
    ]);
    let options = PaginationOptions::from_value(Value::Object(sent)).unwrap();
    assert_eq!(
        (options.num_items, options.cursor, options.end_cursor),
        (5.0, None, None)
    );
}
