use lentil::{ActionCtx, Args, MutationCtx, Result};

#[derive(Args)]
struct Add {
    owner: String,
}

#[derive(Args)]
struct Remove {
    owner: String,
}

async fn add(_ctx: &mut MutationCtx, _args: Add) -> Result<()> {
    Ok(())
}

async fn act(ctx: &ActionCtx, (): ()) -> Result<()> {
    let owner = "ada".to_owned();
    ctx.run_mutation(add, Remove { owner }).await
}

fn main() {}
