use aws_lc_rs::digest;
use lentil_runtime::{Error, RequestId, Runtime, SessionRequest, Uuid, Value};
use lentil_system::sessions;

use super::close_reason::CloseReason;

/// The most bytes of recorded results of one session. Above it the client must reconnect later.
const MAX_SESSION_BYTES: usize = 64 << 20;
/// Estimated bytes of a recorded result beside its value.
const RESULT_OVERHEAD_BYTES: usize = 128;

/// The session whose results are recorded, so that a mutation which the client requests again
/// executes only once.
#[derive(Default)]
pub(super) struct SessionRecord {
    session_id: Option<Uuid>,
    bytes: usize,
}

impl SessionRecord {
    /// Begins the session of a client. A reconnecting client may have recorded results.
    pub(super) async fn begin(
        &mut self,
        runtime: &Runtime,
        session_id: Uuid,
        connection_count: u32,
    ) -> Result<(), CloseReason> {
        if connection_count > 0 {
            let bytes = sessions::bytes(runtime, session_id, MAX_SESSION_BYTES).await;
            self.bytes = bytes.map_err(|error| failed(&error))?;
        }
        self.session_id = Some(session_id);
        Ok(())
    }

    /// Returns the key under which the result of a mutation is recorded. Deletes old results if the
    /// session has too many.
    pub(super) async fn request(
        &mut self,
        runtime: &Runtime,
        request_id: u32,
    ) -> Result<Option<SessionRequest>, CloseReason> {
        let Some(session_id) = self.session_id else {
            return Ok(None);
        };
        if self.bytes >= MAX_SESSION_BYTES {
            let prune = async {
                sessions::prune_session(runtime, session_id).await?;
                sessions::bytes(runtime, session_id, MAX_SESSION_BYTES).await
            };
            self.bytes = prune.await.map_err(|error| failed(&error))?;
            if self.bytes >= MAX_SESSION_BYTES {
                return Err(CloseReason::busy("TooManySessionRequests"));
            }
        }
        Ok(Some(SessionRequest {
            session_id,
            request_id,
        }))
    }

    /// Counts the recorded result of a mutation. A failure has no value.
    pub(super) fn count_result(&mut self, value: Option<&Value>) {
        self.bytes += value.map_or(0, Value::size) + RESULT_OVERHEAD_BYTES;
    }

    /// Returns the request id of a call. As in Convex it is derived from the session and the call's
    /// number, so a repeated call has the same id.
    pub(super) fn request_id_of_call(&self, runtime: &Runtime, number: u32) -> RequestId {
        let Some(session_id) = &self.session_id else {
            return runtime.new_request_id();
        };
        let name = format!("{session_id}|{number}");
        let hash = digest::digest(&digest::SHA256, name.as_bytes());
        let first = hash.as_ref().first_chunk().copied().unwrap_or_default();
        RequestId::made(u64::from_be_bytes(first))
    }
}

/// Logs why the record of a session could not be read, and returns the reason to close the
/// connection.
fn failed(error: &Error) -> CloseReason {
    tracing::error!(%error, "failed to read the record of a session");
    CloseReason::internal("InternalServerError")
}
