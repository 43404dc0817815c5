//! The recorded results of mutations in clients' sessions: how much they take, and when they are
//! deleted.

use async_trait::async_trait;
use lentil_database::SystemTable;
use lentil_macros::Args;
use lentil_runtime::{
    Code, Functions, MutationCtx, QueryCtx, Result, Runtime, SessionResult, SystemModule,
};
use lentil_schema::Document;
use lentil_values::Uuid;
use tokio_util::sync::CancellationToken;

use crate::background::prune_hourly;

const MS_PER_DAY: f64 = 24.0 * 60.0 * 60.0 * 1e3;
/// How long a result is kept for a client that has not received it.
const RESULT_RETENTION_MS: f64 = 14.0 * MS_PER_DAY;
/// How long a result is kept although its session is over its budget.
const MIN_RESULT_RETENTION_MS: f64 = MS_PER_DAY;
/// Results that one transaction deletes; other mutations wait for it.
const PRUNE_BATCH: usize = 256;
/// A lower bound of the bytes that one result takes.
const MIN_RESULT_BYTES: usize = 64;

/// Deletes old results.
pub(crate) struct Sessions;

#[async_trait]
impl SystemModule for Sessions {
    fn functions(&self) -> Functions {
        Functions::in_module("_system/sessions")
            .internal_query("bytes", count_bytes)
            .internal_mutation("prune", prune_batch)
    }

    async fn run(&self, runtime: &Runtime, stop: &CancellationToken) {
        prune_hourly(runtime, stop, |now_ms| prune(runtime, now_ms)).await;
    }
}

/// Returns about how many bytes of results are recorded for a session, at most `limit`.
///
/// # Errors
/// When the store fails.
pub async fn bytes(runtime: &Runtime, session_id: Uuid, limit: usize) -> Result<usize> {
    let args = Bytes {
        session_id: session_id.to_string(),
        limit: limit as f64,
    };
    runtime.system_query(count_bytes, args).await
}

#[derive(Args)]
struct Bytes {
    session_id: String,
    limit: f64,
}

async fn count_bytes(ctx: &mut QueryCtx, args: Bytes) -> Result<usize> {
    let limit = args.limit as usize;
    let range = SessionResult::BY_SESSION_ID_AND_REQUEST_ID.eq(args.session_id);
    let most = limit / MIN_RESULT_BYTES + 1;
    match SystemTable::of(&ctx.db)?.take(range, most).await {
        Ok(results) => {
            let sizes = results
                .into_iter()
                .map(|result| result.fields.into_fields().size());
            Ok(sizes.sum())
        }
        // Results that are too large for one query to read count as the limit.
        Err(error) if error.code() == Code::LimitExceeded => Ok(limit),
        Err(error) => Err(error),
    }
}

/// Deletes a session's results that are more than a day old, and returns their number.
///
/// # Errors
/// When the store fails.
pub async fn prune_session(runtime: &Runtime, session_id: Uuid) -> Result<usize> {
    let args = Prune {
        session_id: Some(session_id.to_string()),
        before_ms: runtime.now_ms() - MIN_RESULT_RETENTION_MS,
    };
    prune_all(runtime, args).await
}

/// Deletes all results that are older than fourteen days at `now_ms`, and returns their number.
///
/// # Errors
/// When the store fails.
pub async fn prune(runtime: &Runtime, now_ms: f64) -> Result<usize> {
    let args = Prune {
        session_id: None,
        before_ms: now_ms - RESULT_RETENTION_MS,
    };
    prune_all(runtime, args).await
}

#[derive(Args, Clone)]
struct Prune {
    session_id: Option<String>,
    before_ms: f64,
}

/// Deletes in small batches, so that other mutations run between them.
async fn prune_all(runtime: &Runtime, args: Prune) -> Result<usize> {
    let mut pruned = 0;
    loop {
        let batch = runtime.system_mutation(prune_batch, args.clone()).await?;
        pruned += batch;
        if batch < PRUNE_BATCH {
            return Ok(pruned);
        }
    }
}

/// Deletes the next results that are old enough, and returns their number.
async fn prune_batch(ctx: &mut MutationCtx, args: Prune) -> Result<usize> {
    let mut table = SystemTable::<SessionResult>::of(&ctx.db)?;
    // Both ranges are in the order of creation, so a batch with a young result is the last.
    let results = match args.session_id {
        Some(session_id) => {
            let range = SessionResult::BY_SESSION_ID_AND_REQUEST_ID.eq(session_id);
            table.scan(range, PRUNE_BATCH).await?
        }
        None => table.scan(SessionResult::all(), PRUNE_BATCH).await?,
    };
    let mut pruned = 0;
    for result in results {
        if result.creation_time < args.before_ms {
            table.delete(&result.id).await?;
            pruned += 1;
        }
    }
    Ok(pruned)
}
