use lentil::{QueryCtx, Result};

async fn count(_ctx: &mut QueryCtx, (): ()) -> Result<f64> {
    Err(404.into())
}

fn main() {}
