use std::time::Duration;

use lentil::{MutationCtx, QueryCtx, Result};

async fn count(_ctx: &mut QueryCtx, (): ()) -> Result<f64> {
    Ok(1.0)
}

async fn later(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    ctx.scheduler.run_after(Duration::from_secs(1), count, ()).await?;
    Ok(())
}

fn main() {}
