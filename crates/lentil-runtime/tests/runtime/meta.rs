//! `ctx.meta`: the request that caused a call.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lentil::{
    ActionCtx, Document, Functions, HttpRequest, HttpRouter, Method, MutationCtx, Object, Request,
    RequestMetadata, Response, Result, ScheduledFunction, StatusCode,
};
use lentil_testing::TestBackend;

use crate::fixture::*;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn described(request: &RequestMetadata) -> String {
    let ip = request
        .ip
        .map_or_else(|| "nobody".to_owned(), |ip| ip.to_string());
    let user_agent = request.user_agent.as_deref().unwrap_or("none");
    let scheduled = request.scheduled_function_id.is_some();
    format!("{ip} {user_agent} {} {scheduled}", request.request_id)
}

/// Stores a description of the request.
async fn note(ctx: &mut MutationCtx, (): ()) -> Result<String> {
    let note = described(&ctx.meta.request());
    let mut task = task("noted", 0.0);
    task.note = Some(note.clone());
    ctx.db.insert(task).await?;
    Ok(note)
}

async fn note_nested(ctx: &mut MutationCtx, (): ()) -> Result<String> {
    ctx.run_mutation(note, ()).await
}

async fn act(ctx: &ActionCtx, (): ()) -> Result<String> {
    let own = described(&ctx.meta.request());
    assert_eq!(ctx.run_mutation(note_nested, ()).await?, own);
    Ok(own)
}

async fn act_nested(ctx: &ActionCtx, (): ()) -> Result<String> {
    ctx.run_action(act, ()).await
}

async fn route(ctx: &ActionCtx, _: Request) -> Result<Response> {
    let noted = ctx.run_action(act_nested, ()).await?;
    Ok(Response::text(StatusCode::OK, noted))
}

fn noting() -> TestBackend {
    let functions = Functions::in_module("meta")
        .mutation("note", note)
        .mutation("noteNested", note_nested)
        .action("act", act)
        .action("actNested", act_nested);
    let router = HttpRouter::new().route(Method::GET, "/note", route);
    backend().functions(functions).http(router)
}

#[tokio::test]
async fn nested_calls_read_the_metadata_of_the_request() {
    let t = noting();
    t.request_from(PEER, "a browser");
    let expected = "192.0.2.7 a browser test false";
    for path in ["meta:note", "meta:noteNested", "meta:act", "meta:actNested"] {
        let noted = t.call(path, Object::new()).await.unwrap();
        assert_eq!(noted.as_str(), Some(expected), "{path}");
    }
    let response = t.fetch(HttpRequest::get("/note").body("").unwrap()).await;
    assert_eq!(response.text(), expected);
    let noted = t.mutation(async |ctx| note(ctx, ()).await).await.unwrap();
    assert_eq!(noted, expected);
}

#[tokio::test]
async fn a_scheduled_function_has_a_scheduled_id_and_no_address() {
    let t = noting();
    t.request_from(PEER, "a browser");
    t.mutation(async |ctx| {
        ctx.scheduler
            .run_after(Duration::ZERO, act_nested, ())
            .await?;
        ctx.scheduler.run_after(Duration::ZERO, note, ()).await
    })
    .await
    .unwrap();
    assert_eq!(t.run_due().await.unwrap(), 2);
    let notes: Vec<String> = t
        .documents::<Task>()
        .await
        .unwrap()
        .into_iter()
        .filter_map(|task| task.note.clone())
        .collect();
    assert_eq!(notes.len(), 2);
    for note in &notes {
        assert!(note.starts_with("nobody none "), "{note}");
        assert!(note.ends_with(" true"), "{note}");
    }
    let failed = t.query(async |ctx| {
        let jobs = ctx.db.system.query(ScheduledFunction::all());
        jobs.collect().await
    });
    let is_over =
        |job: &lentil::Doc<ScheduledFunction>| job.state == lentil::ScheduledState::Success;
    assert!(failed.await.unwrap().iter().all(is_over));
    assert_ne!(notes[0], notes[1], "each execution has its own request id");
}
