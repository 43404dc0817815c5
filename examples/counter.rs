//! The smallest application: one table, one mutation, one route.
//!
//! Run it with `cargo run --bin counter`, then `curl http://127.0.0.1:3210/add -d '{"name":"visits","by":1}'`.

use std::process::ExitCode;

use lentil::{
    ActionCtx, Args, Backend, Document, Functions, HttpRouter, Method, MutationCtx, Request,
    Response, Result, Schema, StatusCode,
};

#[derive(Args)]
struct Add {
    name: String,
    by: f64,
}

// [counter]
#[derive(Document, Clone)]
#[table("counters")]
#[index(by_name(name))]
struct Counter {
    name: String,
    count: f64,
}

async fn add(ctx: &mut MutationCtx, args: Add) -> Result<f64> {
    let counter = ctx
        .db
        .query(Counter::BY_NAME.eq(&args.name))
        .unique()
        .await?;
    let count = counter.as_ref().map_or(0.0, |counter| counter.count) + args.by;
    match counter {
        Some(counter) => {
            ctx.db
                .patch(&counter.id, Counter::patch().count(count))
                .await?
        }
        None => drop(
            ctx.db
                .insert(Counter {
                    name: args.name,
                    count,
                })
                .await?,
        ),
    }
    Ok(count)
}

fn functions() -> Functions {
    Functions::in_module("counters").mutation("add", add)
}
// [end]

async fn post_add(ctx: &ActionCtx, request: Request) -> Result<Response> {
    let args: Add = request.args().await?;
    Ok(Response::json(
        StatusCode::OK,
        ctx.run_mutation(add, args).await?,
    ))
}

fn main() -> ExitCode {
    Backend::new(Schema::new().table::<Counter>())
        .functions(functions())
        .http(HttpRouter::new().route(Method::POST, "/add", post_add))
        .example(r#"curl {url}/add -d '{"name":"visits","by":1}'"#)
        .main()
}
