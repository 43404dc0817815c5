use lentil::{Document, QueryCtx, Result};

#[derive(Document, Clone)]
#[table("tasks")]
struct Task {
    owner: String,
}

async fn add(ctx: &mut QueryCtx, (): ()) -> Result<()> {
    ctx.db.insert(Task { owner: "ada".to_owned() }).await?;
    Ok(())
}

fn main() {}
