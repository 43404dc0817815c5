use lentil::{
    Args, Code, Doc, Document, Functions, Limits, Order, PageStatus, PaginationOptions,
    PaginationResult, QueryCtx, Result,
};
use lentil_runtime::{FunctionPath, Identity, Subscriber};
use lentil_store::Timestamp;
use lentil_testing::TestBackend;

use crate::fixture::*;

#[derive(Args, Clone)]
struct Page {
    descending: bool,
    pagination_opts: PaginationOptions,
}

impl Page {
    fn ascending(pagination_opts: PaginationOptions) -> Page {
        Page {
            descending: false,
            pagination_opts,
        }
    }
}

/// Ada's tasks of even rank.
async fn even(ctx: &mut QueryCtx, args: Page) -> Result<PaginationResult<Doc<Task>>> {
    let order = if args.descending {
        Order::Desc
    } else {
        Order::Asc
    };
    ctx.db
        .query(Task::BY_OWNER_AND_RANK.eq("ada"))
        .order(order)
        .filter(|task| task.rank % 2.0 == 0.0)
        .paginate(args.pagination_opts)
        .await
}

/// All of Ada's tasks: its cursors are those of `even`.
async fn all(
    ctx: &mut QueryCtx,
    options: PaginationOptions,
) -> Result<PaginationResult<Doc<Task>>> {
    ctx.db
        .query(Task::BY_OWNER_AND_RANK.eq("ada"))
        .paginate(options)
        .await
}

fn serving(t: TestBackend) -> TestBackend {
    t.functions(Functions::in_module("pages").query("even", even))
}

async fn read(t: &TestBackend, args: Page) -> PaginationResult<Doc<Task>> {
    t.query(async |ctx| even(ctx, args).await).await.unwrap()
}

/// Returns the end of Ada's first `count` tasks.
async fn end_of_first(t: &TestBackend, count: usize) -> String {
    let page = t.query(async |ctx| all(ctx, PaginationOptions::first(count)).await);
    page.await.unwrap().continue_cursor
}

/// A client that watches one page.
async fn watch(t: &TestBackend, options: PaginationOptions) -> Subscriber {
    let mut client = t.runtime().await.subscriber(Identity::Anonymous);
    let args = Page::ascending(options).into_object();
    client.add(0, FunctionPath::parse("pages:even").unwrap(), args, None);
    client
}

/// The page as the client sees it now, if it has changed.
async fn shown(client: &mut Subscriber) -> Option<PaginationResult<Doc<Task>>> {
    let update = client.refresh(Timestamp::MIN).await;
    let (_, run) = update.changes.first()?;
    let value = run.result.as_ref().unwrap();
    Some(lentil::ValueType::from_value((**value).clone()).unwrap())
}

#[tokio::test]
async fn a_filtered_page_reads_until_it_is_full() {
    for t in backends() {
        fill(&t, "ada", [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 12.0, 14.0]).await;
        let page = read(&t, Page::ascending(PaginationOptions::first(2))).await;
        assert_eq!(ranks(&page.page), [12.0, 14.0]);
        assert_eq!((page.is_done, page.page_status), (false, None));
        let rest = PaginationOptions::after(page.continue_cursor, 2);
        let rest = read(&t, Page::ascending(rest)).await;
        assert_eq!((ranks(&rest.page), rest.is_done), (vec![], true));
    }
}

#[tokio::test]
async fn a_filtered_page_ends_at_its_last_document_and_not_at_the_last_row_fetched() {
    for t in backends() {
        fill(&t, "ada", (2..=40).map(f64::from)).await;
        let page = read(&t, Page::ascending(PaginationOptions::first(2))).await;
        assert_eq!(ranks(&page.page), [2.0, 4.0]);
        assert_eq!(page.continue_cursor, end_of_first(&t, 3).await);
        assert_eq!(page.split_cursor, Some(end_of_first(&t, 2).await));
        let next = PaginationOptions::after(page.continue_cursor, 2);
        assert_eq!(
            ranks(&read(&t, Page::ascending(next)).await.page),
            [6.0, 8.0]
        );
    }
}

#[tokio::test]
async fn descending_pages_of_a_filter_follow_each_other() {
    for t in backends() {
        fill(&t, "ada", [1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 8.0, 9.0, 11.0]).await;
        let page = |pagination_opts| Page {
            descending: true,
            pagination_opts,
        };
        let first = read(&t, page(PaginationOptions::first(2))).await;
        assert_eq!(ranks(&first.page), [8.0, 6.0]);
        let next = PaginationOptions::after(&first.continue_cursor, 2);
        let second = read(&t, page(next)).await;
        assert_eq!((ranks(&second.page), second.is_done), (vec![2.0], true));
        fill(&t, "ada", [4.0, 6.5, 10.0]).await;
        let again = PaginationOptions {
            end_cursor: Some(first.continue_cursor.clone()),
            ..PaginationOptions::first(2)
        };
        let again = read(&t, page(again)).await;
        assert_eq!(ranks(&again.page), [10.0, 8.0, 6.0]);
        let ascending = PaginationOptions::after(first.continue_cursor, 2);
        let refused = t.query(async |ctx| all(ctx, ascending.clone()).await).await;
        assert_eq!(refused.unwrap_err().code(), Code::InvalidCursor);
    }
}

#[tokio::test]
async fn a_live_page_grows_and_shrinks_and_keeps_its_end() {
    for t in backends().map(serving) {
        fill(&t, "ada", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).await;
        let mut first = watch(&t, PaginationOptions::first(2)).await;
        let page = shown(&mut first).await.unwrap();
        assert_eq!(ranks(&page.page), [2.0, 4.0]);
        let after = PaginationOptions::after(&page.continue_cursor, 2);
        let mut second = watch(&t, after).await;
        assert_eq!(ranks(&shown(&mut second).await.unwrap().page), [6.0, 8.0]);

        t.mutation(async |ctx| {
            let two = Task::BY_OWNER_AND_RANK.eq("ada").eq(2.0);
            let two = ctx.db.query(two).unique().await?.unwrap();
            ctx.db.patch(&two.id, Task::patch().rank(1.0)).await?;
            ctx.db.insert(task("ada", -2.0)).await?;
            ctx.db.insert(task("ada", 0.0)).await?;
            ctx.db.insert(task("ada", 4.5)).await
        })
        .await
        .unwrap();
        let grown = shown(&mut first).await.unwrap();
        assert_eq!(ranks(&grown.page), [-2.0, 0.0, 4.0]);
        assert_eq!(grown.continue_cursor, page.continue_cursor);

        for rank in [-2.0, 0.0, 4.0] {
            t.mutation(async |ctx| {
                let range = Task::BY_OWNER_AND_RANK.eq("ada").eq(rank);
                let found = ctx.db.query(range).unique().await?.unwrap();
                ctx.db.delete(&found.id).await
            })
            .await
            .unwrap();
        }
        let shrunk = shown(&mut first).await.unwrap();
        assert_eq!(ranks(&shrunk.page), [] as [f64; 0]);
        assert_eq!(shrunk.continue_cursor, page.continue_cursor);
        assert!(!shrunk.is_done);

        fill(&t, "ada", [0.0, 4.25, 4.75]).await;
        assert_eq!(ranks(&shown(&mut first).await.unwrap().page), [0.0]);
        let behind = shown(&mut second).await.unwrap();
        assert_eq!(ranks(&behind.page), [6.0, 8.0]);
    }
}

#[tokio::test]
async fn a_write_behind_a_filtered_page_does_not_invalidate_it() {
    for t in backends().map(serving) {
        fill(&t, "ada", (1..=40).map(f64::from)).await;
        let page = Page::ascending(PaginationOptions::first(2)).into_object();
        let misses = async || {
            t.call_public("pages:even", page.clone()).await.unwrap();
            t.runtime().await.cache_stats().misses
        };
        let once = misses().await;
        fill(&t, "ada", [4.5, 5.0]).await;
        assert_eq!(misses().await, once);
        fill(&t, "ada", [3.5]).await;
        assert_eq!(misses().await, once + 1);
    }
}

#[tokio::test]
async fn a_filtered_page_ends_at_its_row_limit() {
    let t = backend();
    fill(&t, "ada", [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 12.0, 14.0]).await;
    let mut options = PaginationOptions {
        maximum_rows_read: Some(3.0),
        ..PaginationOptions::first(2)
    };
    for (found, done, status) in [
        (vec![], false, Some(PageStatus::SplitRequired)),
        (vec![], false, Some(PageStatus::SplitRequired)),
        (vec![12.0, 14.0], false, None),
        (vec![], true, None),
    ] {
        let page = read(&t, Page::ascending(options.clone())).await;
        assert_eq!(
            (ranks(&page.page), page.is_done, page.page_status),
            (found, done, status)
        );
        options.cursor = Some(page.continue_cursor);
    }
    let bytes = PaginationOptions {
        maximum_bytes_read: Some(1.0),
        ..PaginationOptions::first(2)
    };
    let page = read(&t, Page::ascending(bytes)).await;
    assert_eq!(page.page_status, Some(PageStatus::SplitRequired));
    assert_eq!(page.continue_cursor, end_of_first(&t, 1).await);
}

/// Reads pages until the end; returns the tasks found, and the number of pages.
async fn read_all(t: &TestBackend, items: usize) -> (Vec<f64>, usize) {
    let mut options = PaginationOptions::first(items);
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = t.query(async |ctx| {
            let page = even(ctx, Page::ascending(options.clone())).await?;
            // The page leaves something for the rest of the function.
            ctx.db.query(Task::BY_NOTE).take(3).await?;
            Ok(page)
        });
        let page = page.await.unwrap();
        found.extend(ranks(&page.page));
        pages += 1;
        if page.is_done {
            return (found, pages);
        }
        if page.page.len() < items {
            assert_eq!(page.page_status, Some(PageStatus::SplitRequired));
        }
        options.cursor = Some(page.continue_cursor);
    }
}

#[tokio::test]
async fn a_page_ends_at_the_read_limit_of_its_function() {
    let mut by_rows = Limits::default();
    by_rows.documents_read = 100;
    let mut by_bytes = Limits::default();
    by_bytes.bytes_read = 10_000;
    for limits in [by_rows, by_bytes] {
        let t = backend().limits(limits);
        fill(&t, "ada", (0..400).map(|at| f64::from(2 * at + 1))).await;
        fill(&t, "ada", [800.0, 802.0]).await;
        let (found, pages) = read_all(&t, 5).await;
        assert_eq!(found, [800.0, 802.0]);
        assert!((4..=6).contains(&pages), "{pages}");
        let plain = t.query(async |ctx| all(ctx, PaginationOptions::first(300)).await);
        let plain = plain.await.unwrap();
        assert_eq!(plain.page_status, Some(PageStatus::SplitRequired));
        assert!(!plain.is_done && plain.page.len() > 50);
    }
}

#[tokio::test]
async fn a_hundred_thousand_rows_without_a_match_are_paginated() {
    let mut limits = Limits::default();
    let long = std::time::Duration::from_secs(600);
    (limits.query_time, limits.mutation_time) = (long, long);
    let t = backend().limits(limits);
    for batch in 0..10 {
        t.mutation(async |ctx| {
            for at in 0..10_000 {
                let rank = f64::from(2 * (batch * 10_000 + at) + 1);
                ctx.db.insert(task("ada", rank)).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
    }
    assert_eq!(read_all(&t, 10).await, (vec![], 4));
}

#[tokio::test]
async fn a_page_that_exceeds_the_limits_can_be_split() {
    let mut limits = Limits::default();
    limits.documents_read = 100;
    let t = serving(backend().limits(limits));
    fill(&t, "ada", [0.0, 1_000.0, 2_000.0]).await;
    let mut client = watch(&t, PaginationOptions::first(2)).await;
    let page = shown(&mut client).await.unwrap();
    fill(&t, "ada", (1..300).map(f64::from)).await;
    let grown = shown(&mut client).await.unwrap();
    assert_eq!(grown.page_status, Some(PageStatus::SplitRequired));
    assert_eq!(grown.continue_cursor, page.continue_cursor);
    assert!(!grown.is_done);

    let (mut parts, mut found) = (vec![(None, page.continue_cursor)], Vec::new());
    while let Some((cursor, end)) = parts.pop() {
        let options = PaginationOptions {
            cursor: cursor.clone(),
            end_cursor: Some(end.clone()),
            ..PaginationOptions::default()
        };
        let part = read(&t, Page::ascending(options)).await;
        if part.page_status == Some(PageStatus::SplitRequired) {
            let split = part.split_cursor.unwrap();
            parts.push((Some(split.clone()), end));
            parts.push((cursor, split));
        } else {
            found.extend(ranks(&part.page));
        }
    }
    let expected = (0..300).step_by(2).map(f64::from).chain([1_000.0]);
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_filtered_take_reads_no_further_than_its_last_document() {
    let mut limits = Limits::default();
    limits.documents_read = 4;
    let t = backend().limits(limits);
    fill(&t, "ada", (1..=40).map(f64::from)).await;
    let found = t.query(async |ctx| {
        let even = ctx.db.query(Task::BY_OWNER_AND_RANK.eq("ada"));
        even.filter(|task| task.rank % 2.0 == 0.0).take(2).await
    });
    assert_eq!(ranks(&found.await.unwrap()), [2.0, 4.0]);
}

#[tokio::test]
async fn a_page_ends_when_its_function_is_running_out_of_time() {
    let mut limits = Limits::default();
    limits.query_time = std::time::Duration::ZERO;
    let t = backend().limits(limits);
    fill(&t, "ada", (0..600).map(|at| f64::from(2 * at + 1))).await;
    fill(&t, "ada", [2_000.0]).await;
    assert_eq!(read_all(&t, 5).await, (vec![2_000.0], 3));
}

#[tokio::test]
async fn a_page_near_a_limit_recommends_a_split() {
    let t = backend();
    fill(&t, "ada", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).await;
    for (rows, status) in [(4.0, Some(PageStatus::SplitRecommended)), (6.0, None)] {
        let options = PaginationOptions {
            maximum_rows_read: Some(rows),
            ..PaginationOptions::first(2)
        };
        let page = read(&t, Page::ascending(options)).await;
        assert_eq!(ranks(&page.page), [2.0, 4.0]);
        assert_eq!(page.page_status, status);
    }
}

#[tokio::test]
async fn a_cursor_of_another_index_is_rejected() {
    let t = backend();
    fill(&t, "ada", [1.0, 2.0, 3.0]).await;
    let cursor = end_of_first(&t, 1).await;
    let by_note = t.query(async |ctx| {
        let notes = ctx.db.query(Task::BY_NOTE);
        notes.paginate(PaginationOptions::after(&cursor, 1)).await
    });
    assert_eq!(by_note.await.unwrap_err().code(), Code::InvalidCursor);
}
