use lentil::{Functions, QueryCtx, Result};

fn count(ctx: &mut QueryCtx, (): ()) -> Result<f64> {
    Ok(ctx.random())
}

fn main() {
    let _ = Functions::in_module("tasks").query("count", count);
}
