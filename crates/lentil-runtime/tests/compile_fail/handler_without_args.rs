use lentil::{Functions, QueryCtx, Result};

async fn count(_ctx: &mut QueryCtx) -> Result<f64> {
    Ok(1.0)
}

fn main() {
    let _ = Functions::in_module("tasks").query("count", count);
}
