use lentil_database::{DatabaseReader, SystemTable};
use lentil_macros::{Args, Document};
use lentil_schema::Document;
use lentil_values::{JsonForm, Uuid, Value};

use crate::engine::Engine;
use crate::{Code, Error, Functions, MutationCtx, QueryCtx, Result, Runtime};

const MS_PER_DAY: f64 = 24.0 * 60.0 * 60.0 * 1e3;
/// How long a result is kept for a client that has not received it.
const RESULT_RETENTION_MS: f64 = 14.0 * MS_PER_DAY;
/// How long a result is kept although its session is over its budget.
const RESULT_MIN_RETENTION_MS: f64 = MS_PER_DAY;
/// Results that one transaction deletes; other mutations wait for it.
const PRUNE_BATCH: usize = 256;
/// A lower bound of the bytes that one result takes.
const MIN_RESULT_BYTES: usize = 64;

/// The result of a mutation in a client's session, recorded by the mutation's own transaction.
#[derive(Document, Clone, Debug)]
#[system]
#[table("_session_requests")]
#[index(by_sessionId_and_requestId(session_id, request_id))]
pub(crate) struct SessionResult {
    session_id: String,
    request_id: f64,
    /// The result as JSON.
    result: String,
}

/// A mutation's place in a client's session.
///
/// A client that lost its connection sends the request again. The mutation then does not run a second time; its
/// recorded result is returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionRequest {
    /// The client's session, named by the client.
    pub session_id: Uuid,
    /// The request's number in the session.
    pub request_id: u32,
}

impl SessionRequest {
    /// Returns the recorded result, if the mutation has run before.
    pub(crate) async fn recorded(&self, db: &DatabaseReader) -> Result<Option<Value>> {
        parse(find(db, self.key()).await?)
    }

    /// Records the mutation's result.
    pub(crate) fn record(&self, db: &DatabaseReader, value: &Value) -> Result<()> {
        let Key {
            session_id,
            request_id,
        } = self.key();
        SystemTable::of(db)?.insert(SessionResult {
            session_id,
            request_id,
            result: value.to_json(JsonForm::Encoded),
        })?;
        Ok(())
    }

    fn key(&self) -> Key {
        Key {
            session_id: self.session_id.to_string(),
            request_id: f64::from(self.request_id),
        }
    }
}

#[derive(Args)]
struct Key {
    session_id: String,
    request_id: f64,
}

/// Finds the result of a request, as JSON.
async fn find(db: &DatabaseReader, key: Key) -> Result<Option<String>> {
    let range = SessionResult::BY_SESSION_ID_AND_REQUEST_ID
        .eq(key.session_id)
        .eq(key.request_id);
    let found = SystemTable::of(db)?.first(range).await?;
    Ok(found.map(|found| found.fields.result))
}

fn parse(json: Option<String>) -> Result<Option<Value>> {
    match json {
        Some(json) => Value::parse_json(json.as_bytes())
            .map(Some)
            .map_err(Error::internal),
        None => Ok(None),
    }
}

pub(super) fn functions() -> Functions {
    Functions::in_module("_system/sessions")
        .internal_query("answer", answer)
        .internal_query("bytes", bytes)
        .internal_mutation("prune", prune)
}

async fn answer(ctx: &mut QueryCtx, key: Key) -> Result<Option<String>> {
    find(&ctx.db, key).await
}

#[derive(Args)]
struct Bytes {
    session_id: String,
    limit: f64,
}

/// Returns about how many bytes of results are recorded for a session.
async fn bytes(ctx: &mut QueryCtx, args: Bytes) -> Result<f64> {
    let range = SessionResult::BY_SESSION_ID_AND_REQUEST_ID.eq(args.session_id);
    let most = args.limit as usize / MIN_RESULT_BYTES + 1;
    match SystemTable::of(&ctx.db)?.take(range, most).await {
        Ok(results) => {
            let sizes = results
                .into_iter()
                .map(|result| result.fields.into_fields().size());
            Ok(sizes.sum::<usize>() as f64)
        }
        Err(error) if error.code() == Code::LimitExceeded => Ok(args.limit),
        Err(error) => Err(error),
    }
}

#[derive(Args, Clone)]
struct Prune {
    session_id: Option<String>,
    before_ms: f64,
}

/// Deletes the next results that are old enough, and returns their number.
async fn prune(ctx: &mut MutationCtx, args: Prune) -> Result<f64> {
    let mut table = SystemTable::<SessionResult>::of(&ctx.db)?;
    let results = match args.session_id {
        Some(session_id) => {
            let range = SessionResult::BY_SESSION_ID_AND_REQUEST_ID.eq(session_id);
            table.scan(range, PRUNE_BATCH).await?
        }
        None => table.scan(SessionResult::all(), PRUNE_BATCH).await?,
    };
    let mut pruned = 0.0;
    for result in results {
        if result.creation_time < args.before_ms {
            table.delete(&result.id).await?;
            pruned += 1.0;
        }
    }
    Ok(pruned)
}

/// Returns the recorded result of a request, if its mutation has run.
pub(crate) async fn recorded_result(
    engine: &Engine,
    request: &SessionRequest,
) -> Result<Option<Value>> {
    parse(engine.system_query(answer, request.key()).await?)
}

impl Runtime {
    /// Returns about how many bytes of results are recorded for a session, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_bytes(&self, session_id: Uuid, limit: usize) -> Result<usize> {
        let args = Bytes {
            session_id: session_id.to_string(),
            limit: limit as f64,
        };
        Ok(self.system_query(bytes, args).await? as usize)
    }

    /// Deletes a session's results that are more than a day old, and returns their number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_session(&self, session_id: Uuid) -> Result<usize> {
        self.prune(Prune {
            session_id: Some(session_id.to_string()),
            before_ms: self.now_ms() - RESULT_MIN_RETENTION_MS,
        })
        .await
    }

    /// Deletes all results that are older than fourteen days at `now_ms`, and returns their number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_sessions(&self, now_ms: f64) -> Result<usize> {
        self.prune(Prune {
            session_id: None,
            before_ms: now_ms - RESULT_RETENTION_MS,
        })
        .await
    }

    /// Deletes in small batches, so that other mutations run between them.
    async fn prune(&self, args: Prune) -> Result<usize> {
        let mut pruned = 0;
        loop {
            let batch = self.system_mutation(prune, args.clone()).await? as usize;
            pruned += batch;
            if batch < PRUNE_BATCH {
                return Ok(pruned);
            }
        }
    }
}
