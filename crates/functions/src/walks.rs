//! The progress of tasks that process a table in steps, from the oldest document to the newest,
//! each document once.

use clonk_schema::Walk;
use lentil::{Document, MutationCtx, QueryCtx, Result};

/// Returns the `_creationTime` of the last document that the task has processed, or 0 before the
/// first.
pub(crate) async fn position(ctx: &mut QueryCtx, task: &str) -> Result<f64> {
    let walk = ctx.db.query(Walk::BY_NAME.eq(task)).unique().await?;
    match walk {
        Some(walk) => Ok(walk.position),
        // Every document was created after 1970.
        None => Ok(0.0),
    }
}

/// Records that the task has processed all documents up to this `_creationTime`.
pub(crate) async fn advance(ctx: &mut MutationCtx, task: &str, position: f64) -> Result<()> {
    match ctx.db.query(Walk::BY_NAME.eq(task)).unique().await? {
        Some(walk) => {
            ctx.db
                .patch(walk.id, Walk::patch().position(position))
                .await?;
        }
        None => {
            let walk = Walk {
                name: task.to_owned(),
                position,
            };
            ctx.db.insert(walk).await?;
        }
    }
    Ok(())
}
