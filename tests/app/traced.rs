//! Functions that leave traces: a route, an action and scheduled functions that fail in a function that they call.

use std::time::Duration;

use lentil::{
    ActionCtx, Error, Functions, HttpRouter, Method, MutationCtx, Object, QueryCtx, Request,
    Response, Result, StatusCode, Value,
};

use crate::counters::Counter;

async fn fail(ctx: &mut MutationCtx, _: ()) -> Result<()> {
    ctx.log.warn("about to fail");
    let cause = "seven".parse::<i64>();
    cause?;
    Ok(())
}

async fn act(ctx: &ActionCtx, _: ()) -> Result<()> {
    ctx.run_mutation(fail, ()).await
}

/// Fails while the counter `broken` exists.
async fn watch(ctx: &mut QueryCtx, _: ()) -> Result<f64> {
    let broken = ctx.db.query(Counter::BY_NAME.eq("broken")).first().await?;
    match broken {
        Some(_) => Err(Error::msg("it is broken")),
        None => Ok(0.0),
    }
}

async fn smash(ctx: &mut MutationCtx, _: ()) -> Result<()> {
    ctx.db.insert(Counter::new("broken")).await.map(drop)
}

async fn fail_later(ctx: &mut MutationCtx, _: ()) -> Result<()> {
    ctx.scheduler.run_after(Duration::ZERO, fail, ()).await?;
    ctx.scheduler
        .run_after(Duration::ZERO, act, ())
        .await
        .map(drop)
}

/// Returns the request metadata that a function sees.
async fn request(ctx: &ActionCtx, _: ()) -> Result<Value> {
    let request = ctx.meta.request();
    let text = |text: Option<String>| text.map_or(Value::Null, Value::from);
    Ok(Value::Object(Object::from([
        ("ip", text(request.ip.map(|ip| ip.to_string()))),
        ("userAgent", text(request.user_agent)),
        ("requestId", request.request_id.into()),
    ])))
}

async fn route(ctx: &ActionCtx, _: Request) -> Result<Response> {
    ctx.run_action(act, ()).await?;
    Ok(Response::text(StatusCode::OK, "never"))
}

pub(crate) fn functions() -> Functions {
    Functions::in_module("traced")
        .mutation("fail", fail)
        .action("act", act)
        .query("watch", watch)
        .mutation("smash", smash)
        .mutation("failLater", fail_later)
        .action("request", request)
}

pub(crate) fn router() -> HttpRouter {
    HttpRouter::new().route(Method::GET, "/traced", route)
}
