use lentil_call::{Error, Result};
use lentil_database::{SystemTable, TransactionCell};
use lentil_macros::Document;
use lentil_values::{JsonForm, Uuid, Value};

/// The result of a mutation in a client's session, recorded by the mutation's own transaction.
#[derive(Document, Clone, Debug)]
#[system]
#[table("_session_requests")]
#[index(by_sessionId_and_requestId(session_id, request_id))]
pub struct SessionResult {
    /// The session's UUID.
    pub session_id: String,
    /// The request's number in the session.
    pub request_id: f64,
    /// The result as JSON.
    pub result: String,
}

/// A mutation's place in a client's session.
///
/// A client that lost its connection sends the request again. The mutation then does not run a
/// second time; its recorded result is returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionRequest {
    /// The client's session, named by the client.
    pub session_id: Uuid,
    /// The request's number in the session.
    pub request_id: u32,
}

impl SessionRequest {
    /// Returns the recorded result, if the mutation has run before.
    pub(crate) async fn recorded(&self, cell: &TransactionCell) -> Result<Option<Value>> {
        let range = SessionResult::BY_SESSION_ID_AND_REQUEST_ID
            .eq(self.session_id.to_string())
            .eq(f64::from(self.request_id));
        let Some(found) = SystemTable::open(cell)?.first(range).await? else {
            return Ok(None);
        };
        Value::parse_json(found.result.as_bytes())
            .map(Some)
            .map_err(Error::internal)
    }

    /// Records the mutation's result.
    pub(crate) fn record(&self, cell: &TransactionCell, value: &Value) -> Result<()> {
        SystemTable::open(cell)?.insert(SessionResult {
            session_id: self.session_id.to_string(),
            request_id: f64::from(self.request_id),
            result: value.to_json(JsonForm::Encoded),
        })?;
        Ok(())
    }
}
