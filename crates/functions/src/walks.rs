//! How far a task has come that walks a table from its oldest document on, in steps: it looks at each once.

use clonk_schema::Walk;
use lentil::{Document, MutationCtx, Result};

/// The `_creationTime` of the last document that the task is done with; 0 before the first.
pub(crate) async fn position(ctx: &mut MutationCtx, task: &str) -> Result<f64> {
    let walk = ctx.db.query(Walk::BY_NAME.eq(task)).unique().await?;
    Ok(walk.map_or(0.0, |walk| walk.position))
}

/// Records that the task is done with everything up to this `_creationTime`.
pub(crate) async fn advance(ctx: &mut MutationCtx, task: &str, position: f64) -> Result<()> {
    match ctx.db.query(Walk::BY_NAME.eq(task)).unique().await? {
        Some(walk) => {
            ctx.db
                .patch(&walk.id, Walk::patch().position(position))
                .await
        }
        None => ctx
            .db
            .insert(Walk {
                name: task.to_owned(),
                position,
            })
            .await
            .map(drop),
    }
}
