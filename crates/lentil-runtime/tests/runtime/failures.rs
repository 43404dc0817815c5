use std::sync::Arc;
use std::time::Duration;

use lentil::{
    ActionCtx, Code, Functions, HttpRequest, HttpRouter, Limits, Method, Request, Response, Result,
    StatusCode,
};
use lentil_testing::TestBackend;

use crate::fixture::*;

#[tokio::test]
async fn a_panic_fails_one_call_and_writes_nothing() {
    for t in backends() {
        let failed = t.mutation(async |ctx| {
            ctx.db.insert(task("ada", 1.0)).await?;
            if ctx.random() < 2.0 {
                panic!("boom");
            }
            Ok(())
        });
        assert_eq!(failed.await.unwrap_err().code(), Code::Panicked);
        fill(&t, "ada", [2.0]).await;
        assert_eq!(ranks(&t.documents::<Task>().await.unwrap()), [2.0]);
    }
}

fn hasty() -> Limits {
    let mut limits = Limits::default();
    limits.mutation_time = Duration::from_millis(50);
    limits.query_time = Duration::from_millis(50);
    limits
}

#[tokio::test(start_paused = true)]
async fn a_call_over_its_time_limit_fails_and_releases_the_write_lock() {
    let t = backend().limits(hasty());
    let slow = t.mutation(async |ctx| {
        ctx.db.insert(task("ada", 1.0)).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(())
    });
    let error = slow.await.unwrap_err();
    assert_eq!(error.code(), Code::TimedOut);
    assert!(
        error.message().contains("longer than 50 ms"),
        "{}",
        error.message()
    );
    fill(&t, "ada", [2.0]).await;
    assert_eq!(ranks(&t.documents::<Task>().await.unwrap()), [2.0]);
    let slow = t.query(async |_| {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(())
    });
    assert_eq!(slow.await.unwrap_err().code(), Code::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_mutation_that_waits_too_long_for_the_write_lock_is_overloaded() {
    let mut limits = Limits::default();
    limits.mutation_time = Duration::from_secs(60);
    let t = backend().limits(limits);
    let slow = t.mutation(async |ctx| {
        ctx.db.insert(task("ada", 1.0)).await?;
        tokio::time::sleep(Duration::from_secs(30)).await;
        Ok(())
    });
    let late = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        t.mutation(async |ctx| ctx.db.insert(task("ada", 2.0)).await)
            .await
    };
    let (slow, late) = tokio::join!(slow, late);
    slow.unwrap();
    let late = late.unwrap_err();
    assert_eq!(
        (late.code(), late.code().status()),
        (Code::Overloaded, StatusCode::SERVICE_UNAVAILABLE)
    );
}

#[tokio::test]
async fn a_mutation_inside_a_mutation_is_an_error_and_not_a_deadlock() {
    let t = backend();
    let inside = t.mutation(async |_| {
        t.mutation(async |ctx| ctx.db.insert(task("ada", 1.0)).await)
            .await
    });
    assert_eq!(inside.await.unwrap_err().code(), Code::ReentrantMutation);
}

async fn fail_route(ctx: &ActionCtx, request: Request) -> Result<Response> {
    ctx.log.log("about to fail");
    match request.path() {
        "/panic" => panic!("a secret in a panic"),
        "/input" => {
            let add = Add {
                owner: "x".repeat(2 << 20),
                rank: 1.0,
            };
            ctx.run_mutation(crate::fixture::add, add)
                .await
                .map_err(|error| error.bad_request())?;
        }
        _ => {
            std::fs::read("/nowhere/a-secret-path")?;
        }
    }
    Ok(Response::empty(StatusCode::OK))
}

fn failing() -> TestBackend {
    backend().http(HttpRouter::new().prefix(Method::GET, "/", fail_route))
}

async fn get(t: &TestBackend, path: &str) -> lentil_testing::TestResponse {
    t.fetch(HttpRequest::get(path).body("").unwrap()).await
}

#[tokio::test]
async fn an_internal_error_shows_clients_only_its_request_id() {
    let t = failing().dev(false);
    for path in ["/panic", "/io"] {
        let response = get(&t, path).await;
        assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(
            response.text(),
            r#"{"error":"[Request ID: test] Server Error"}"#
        );
    }
    let t = failing().dev(true);
    assert!(
        get(&t, "/panic")
            .await
            .text()
            .contains("a secret in a panic")
    );
    assert!(get(&t, "/io").await.text().contains("UncaughtError"));
}

#[tokio::test]
async fn bad_request_makes_an_input_error_a_400() {
    let response = get(&failing().dev(false), "/input").await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    assert!(
        response.text().contains("the limit is 1 MiB"),
        "{}",
        response.text()
    );
}

#[tokio::test]
async fn a_disconnected_request_runs_to_completion() {
    async fn slow(ctx: &ActionCtx, _request: Request) -> Result<Response> {
        tokio::task::yield_now().await;
        ctx.run_mutation(
            add,
            Add {
                owner: "ada".into(),
                rank: 1.0,
            },
        )
        .await?;
        Ok(Response::empty(StatusCode::OK))
    }
    let t = Arc::new(backend().http(HttpRouter::new().route(Method::POST, "/slow", slow)));
    t.runtime().await;
    let mut fetch = Box::pin(t.fetch(HttpRequest::post("/slow").body("").unwrap()));
    let is_ready =
        std::future::poll_fn(|cx| std::task::Poll::Ready(fetch.as_mut().poll(cx).is_ready())).await;
    assert!(!is_ready);
    drop(fetch);
    while t.documents::<Task>().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(t.documents::<Task>().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_mutation_with_an_invalid_result_is_undone() {
    async fn too_much(ctx: &mut lentil::MutationCtx, (): ()) -> Result<String> {
        ctx.db.insert(task("ada", 1.0)).await?;
        Ok("x".repeat(100))
    }
    let mut limits = Limits::default();
    limits.result_bytes = 10;
    let t = backend()
        .limits(limits)
        .functions(Functions::in_module("more").mutation("tooMuch", too_much));
    let error = t
        .call("more:tooMuch", lentil::Object::new())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::ValueTooLarge);
    assert!(
        error.message().starts_with("the result of `more:tooMuch`"),
        "{}",
        error.message()
    );
    t.runtime().await;
    assert!(
        t.query(async |ctx| ctx.db.query(Task::BY_NOTE).first().await)
            .await
            .unwrap()
            .is_none()
    );
}
