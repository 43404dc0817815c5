use std::rc::Rc;

use lentil::{Functions, QueryCtx, Result};

async fn count(ctx: &mut QueryCtx, (): ()) -> Result<f64> {
    let shared = Rc::new(1.0);
    ctx.env("NAME").await?;
    Ok(*shared)
}

fn main() {
    let _ = Functions::in_module("tasks").query("count", count);
}
