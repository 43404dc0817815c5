//! `echo/query:any`, `echo/mutation:any` and `echo/action:any` return their argument.

use lentil::{ActionCtx, Args, Functions, MutationCtx, QueryCtx, Result, Value};

#[derive(Args)]
struct Any {
    value: Value,
}

async fn query(_: &mut QueryCtx, args: Any) -> Result<Value> {
    Ok(args.value)
}

async fn mutation(_: &mut MutationCtx, args: Any) -> Result<Value> {
    Ok(args.value)
}

async fn action(ctx: &ActionCtx, args: Any) -> Result<Value> {
    ctx.log.error("'echoed'");
    Ok(args.value)
}

pub(crate) fn functions() -> Functions {
    Functions::in_module("echo/query")
        .query("any", query)
        .with(Functions::in_module("echo/mutation").mutation("any", mutation))
        .with(Functions::in_module("echo/action").action("any", action))
}
