use lentil::{MutationCtx, QueryCtx, Result};

async fn next_rank(_ctx: &mut MutationCtx) -> Result<f64> {
    Ok(1.0)
}

async fn count(ctx: &mut QueryCtx, (): ()) -> Result<f64> {
    next_rank(ctx).await
}

fn main() {}
