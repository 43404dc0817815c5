use lentil::{Functions, QueryCtx, Result};

struct Count {
    _owner: String,
}

async fn count(_ctx: &mut QueryCtx, _args: Count) -> Result<f64> {
    Ok(1.0)
}

fn main() {
    let _ = Functions::in_module("tasks").query("count", count);
}
