use lentil_values::{FieldValidator, JsonForm, Object, Uuid, Value, v};

use super::SystemTable;
use super::function::{mutation, query};
use crate::database::Transaction;
use crate::{Code, Error, Function, MutationCtx, QueryCtx, Result, Runtime};

pub(super) const TABLE: &str = "_session_requests";
pub(super) const BY_REQUEST: &str = "by_sessionId_and_requestId";

/// How long an answer is kept for a client that did not get it.
const KEPT_MS: f64 = 14.0 * DAY_MS;
/// How long it is kept though the session is over its budget.
const KEPT_AT_LEAST_MS: f64 = DAY_MS;
const DAY_MS: f64 = 24.0 * 60.0 * 60.0 * 1e3;
/// Answers that one transaction deletes: few, for other mutations wait meanwhile.
const BATCH: usize = 256;
/// What one takes at the very least.
const LEAST_BYTES: f64 = 64.0;

const ANSWER: &str = "_system/sessions:answer";
const BYTES: &str = "_system/sessions:bytes";
const PRUNE: &str = "_system/sessions:prune";

/// A mutation's place among those of one client: asked for again, after a connection was lost, it is answered from
/// the record that it wrote in its own transaction, and does not run a second time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionRequest {
    /// The client's session, named by the client.
    pub session_id: Uuid,
    /// The request's number in the session.
    pub request_id: u32,
}

impl SessionRequest {
    /// What this request was answered, if it was.
    pub(crate) async fn answered(&self, ctx: &mut MutationCtx) -> Result<Option<Value>> {
        let found = recorded(&mut *ctx.db.transaction()?, &self.key()).await?;
        found
            .map(|result| Value::parse_json(result.as_bytes()))
            .transpose()
            .map_err(Error::internal)
    }

    /// Records what it is answered.
    pub(crate) fn answer(&self, ctx: &mut MutationCtx, value: &Value) -> Result<()> {
        let [session_id, request_id] = self.key();
        let result = Value::from(value.to_json(JsonForm::Encoded));
        let mut transaction = ctx.db.transaction()?;
        let mut table = SystemTable::open(&mut transaction, TABLE);
        table
            .insert([
                ("sessionId", session_id),
                ("requestId", request_id),
                ("result", result),
            ])
            .map(drop)
    }

    fn key(&self) -> [Value; 2] {
        [
            Value::from(self.session_id.to_string()),
            Value::Float64(f64::from(self.request_id)),
        ]
    }
}

/// What a request was answered, as JSON.
async fn recorded(transaction: &mut Transaction, key: &[Value]) -> Result<Option<String>> {
    let rows = SystemTable::open(transaction, TABLE)
        .find(BY_REQUEST, key, 1)
        .await?;
    let result = |row: &lentil_store::Row| {
        row.document
            .fields
            .get("result")?
            .as_str()
            .map(str::to_owned)
    };
    Ok(rows.first().and_then(result))
}

pub(super) fn functions() -> Vec<Function> {
    let session = || FieldValidator::from(v::string());
    vec![
        query(
            ANSWER,
            [("sessionId", session()), ("requestId", v::number().into())],
            |ctx, args| {
                Box::pin(async move {
                    let key = ["sessionId", "requestId"]
                        .map(|name| args.get(name).cloned().unwrap_or(Value::Null));
                    let found = recorded(&mut *ctx.db.transaction()?, &key).await?;
                    Ok(found.map_or(Value::Null, Value::from))
                })
            },
        ),
        query(
            BYTES,
            [("sessionId", session()), ("limit", v::number().into())],
            |ctx, args| Box::pin(bytes(ctx, args)),
        ),
        mutation(
            PRUNE,
            [
                ("sessionId", v::optional(v::string())),
                ("beforeMs", v::number().into()),
            ],
            |ctx, args| Box::pin(prune(ctx, args)),
        ),
    ]
}

/// About how many bytes of answers are recorded for a session.
async fn bytes(ctx: &mut QueryCtx, args: Object) -> Result<Value> {
    let session_id = args.get("sessionId").cloned().unwrap_or(Value::Null);
    let limit = args
        .get("limit")
        .and_then(Value::as_f64)
        .unwrap_or_default();
    let mut transaction = ctx.db.transaction()?;
    let mut table = SystemTable::open(&mut transaction, TABLE);
    let rows = table
        .find(
            BY_REQUEST,
            &[session_id],
            (limit / LEAST_BYTES) as usize + 1,
        )
        .await;
    match rows {
        Ok(rows) => Ok(Value::Float64(
            rows.iter()
                .map(|row| row.document.fields.size() as f64)
                .sum::<f64>()
                + 0.0,
        )),
        Err(error) if error.code() == Code::LimitExceeded => Ok(Value::Float64(limit)),
        Err(error) => Err(error),
    }
}

/// Deletes the next answers that are old enough; returns how many it was.
async fn prune(ctx: &mut MutationCtx, args: Object) -> Result<Value> {
    let before_ms = args
        .get("beforeMs")
        .and_then(Value::as_f64)
        .unwrap_or_default();
    let mut transaction = ctx.db.transaction()?;
    let mut table = SystemTable::open(&mut transaction, TABLE);
    let rows = match args.get("sessionId") {
        Some(session_id) => {
            table
                .find_uncounted(BY_REQUEST, std::slice::from_ref(session_id), None, BATCH)
                .await?
        }
        None => table.oldest(BATCH).await?,
    };
    let old: Vec<_> = rows
        .into_iter()
        .filter(|row| row.document.creation_time < before_ms)
        .collect();
    let count = old.len();
    old.into_iter().for_each(|row| table.delete(row.document));
    Ok(Value::Float64(count as f64))
}

impl Runtime {
    /// What a request was answered, if it was.
    pub(crate) async fn answered(&self, request: &SessionRequest) -> Result<Option<Value>> {
        let [session_id, request_id] = request.key();
        let args = Object::from([("sessionId", session_id), ("requestId", request_id)]);
        let found = self.system_query(ANSWER, args).await?;
        found
            .as_str()
            .map(|result| Value::parse_json(result.as_bytes()))
            .transpose()
            .map_err(Error::internal)
    }

    /// About how many bytes of answers are recorded for a session, counted up to `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_bytes(&self, session_id: Uuid, limit: usize) -> Result<usize> {
        let args = [
            ("sessionId", Value::from(session_id.to_string())),
            ("limit", Value::Float64(limit as f64)),
        ];
        Ok(self
            .system_query(BYTES, Object::from(args))
            .await?
            .as_f64()
            .unwrap_or_default() as usize)
    }

    /// Deletes a session's answers that are more than a day old, and returns how many it were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_session(&self, session_id: Uuid) -> Result<usize> {
        let before_ms = Value::Float64(self.now_ms() - KEPT_AT_LEAST_MS);
        self.prune(Object::from([
            ("sessionId", Value::from(session_id.to_string())),
            ("beforeMs", before_ms),
        ]))
        .await
    }

    /// Deletes all answers that are older than fourteen days at `now_ms`, in small steps, so that other mutations
    /// run between them. Returns the number deleted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_sessions(&self, now_ms: f64) -> Result<usize> {
        self.prune(Object::from([("beforeMs", now_ms - KEPT_MS)]))
            .await
    }

    async fn prune(&self, args: Object) -> Result<usize> {
        let mut pruned = 0;
        loop {
            let step = self
                .system_mutation(PRUNE, args.clone())
                .await?
                .as_f64()
                .unwrap_or_default() as usize;
            pruned += step;
            if step < BATCH {
                return Ok(pruned);
            }
        }
    }
}
