use lentil::{Functions, QueryCtx};

async fn count(_ctx: &mut QueryCtx, (): ()) -> f64 {
    1.0
}

fn main() {
    let _ = Functions::in_module("tasks").query("count", count);
}
