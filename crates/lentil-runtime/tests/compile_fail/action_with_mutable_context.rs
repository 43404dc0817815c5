use lentil::{ActionCtx, Functions, Result};

async fn send(_ctx: &mut ActionCtx, (): ()) -> Result<()> {
    Ok(())
}

fn main() {
    let _ = Functions::in_module("mail").action("send", send);
}
