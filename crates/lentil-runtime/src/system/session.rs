use lentil_values::{JsonForm, Value};

use super::SystemTable;
use crate::{Code, Error, Identity, MutationCtx, Result, Runtime};

pub(super) const TABLE: &str = "_session_requests";
pub(super) const BY_REQUEST: &str = "by_sessionId_and_requestId";

/// How long an answer is kept for a client that did not get it.
const KEPT_MS: f64 = 14.0 * DAY_MS;
/// How long it is kept though the session is over its budget.
const KEPT_AT_LEAST_MS: f64 = DAY_MS;
const DAY_MS: f64 = 24.0 * 60.0 * 60.0 * 1e3;
/// Answers that one transaction deletes: few, for other mutations wait meanwhile.
const BATCH: usize = 256;

/// A mutation's place among those of one client: asked for again, after a connection was lost, it is answered from
/// the record that it wrote in its own transaction, and does not run a second time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionRequest {
    /// The client's session, as it names it: a UUID.
    pub session_id: String,
    /// The request's number in the session.
    pub request_id: u32,
}

impl SessionRequest {
    /// What this request was answered, if it was.
    pub(crate) async fn answered(&self, ctx: &mut MutationCtx) -> Result<Option<Value>> {
        let mut table = SystemTable::open(ctx.db.transaction()?, TABLE);
        let rows = table.find(BY_REQUEST, &self.key(), 1).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let result = row.document.fields.get("result").and_then(Value::as_str).unwrap_or_default();
        Value::parse_json(result.as_bytes()).map(Some).map_err(Error::internal)
    }

    /// Records what it is answered.
    pub(crate) fn answer(&self, ctx: &mut MutationCtx, value: &Value) -> Result<()> {
        let [session_id, request_id] = self.key();
        let result = Value::from(value.to_json(JsonForm::Encoded));
        let mut table = SystemTable::open(ctx.db.transaction()?, TABLE);
        table.insert([("sessionId", session_id), ("requestId", request_id), ("result", result)])
    }

    fn key(&self) -> [Value; 2] {
        [Value::from(self.session_id.as_str()), Value::Float64(f64::from(self.request_id))]
    }
}

impl Runtime {
    /// About how many bytes of answers are recorded for a session, counted up to `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_bytes(&self, session_id: &str, limit: usize) -> Result<usize> {
        let key = [Value::from(session_id)];
        self.read(Identity::Anonymous, async |ctx| {
            let mut table = SystemTable::open(ctx.db.transaction()?, TABLE);
            // Each takes a hundred bytes at the very least.
            let rows = table.find(BY_REQUEST, &key, limit / 100 + 1).await?;
            Ok(rows.iter().map(|row| row.document.fields.size()).sum())
        })
        .await
        .or_else(|error| if error.code() == Code::LimitExceeded { Ok(limit) } else { Err(error) })
    }

    /// Deletes a session's answers that are more than a day old.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_session(&self, session_id: &str) -> Result<()> {
        let before = self.now_ms() - KEPT_AT_LEAST_MS;
        let key = [Value::from(session_id)];
        while self.prune(before, Some(&key)).await? == BATCH {}
        Ok(())
    }

    /// Deletes all answers that are more than fourteen days old, in small steps between which others have their
    /// turn. Returns how many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_sessions(&self) -> Result<usize> {
        let before = self.now_ms() - KEPT_MS;
        let mut pruned = 0;
        loop {
            let step = self.prune(before, None).await?;
            pruned += step;
            if step < BATCH {
                return Ok(pruned);
            }
        }
    }

    async fn prune(&self, before_ms: f64, session: Option<&[Value; 1]>) -> Result<usize> {
        self.transact(&Identity::Anonymous, async |ctx| {
            let mut table = SystemTable::open(ctx.db.transaction()?, TABLE);
            let rows = match session {
                Some(session) => table.find(BY_REQUEST, session, BATCH).await?,
                None => table.oldest(BATCH).await?,
            };
            let old: Vec<_> = rows.into_iter().filter(|row| row.document.creation_time < before_ms).collect();
            let count = old.len();
            old.into_iter().for_each(|row| table.delete(row.document));
            Ok(count)
        })
        .await
    }
}
