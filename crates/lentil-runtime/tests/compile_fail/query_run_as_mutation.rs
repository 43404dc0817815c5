use lentil::{ActionCtx, QueryCtx, Result};

async fn count(_ctx: &mut QueryCtx, (): ()) -> Result<f64> {
    Ok(1.0)
}

async fn act(ctx: &ActionCtx, (): ()) -> Result<f64> {
    ctx.run_mutation(count, ()).await
}

fn main() {}
