use lentil_store::Snapshot;
use tokio::sync::Mutex;

use super::check::check_args;
use super::query::into_value;
use crate::error::store_error;
use crate::{Code, Error, FunctionCall, FunctionOutcome, Result, Runtime};

/// Everything as it is at one timestamp, for queries that must agree.
pub struct QuerySnapshot {
    runtime: Runtime,
    timestamp: lentil_store::Timestamp,
    /// One query at a time reads it; none, when one has failed to give it back.
    snapshot: Mutex<Option<Box<dyn Snapshot>>>,
}

impl Runtime {
    /// Everything as it is now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn query_snapshot(&self) -> Result<QuerySnapshot> {
        let snapshot = self.published_snapshot().await.map_err(store_error)?;
        Ok(QuerySnapshot {
            runtime: self.clone(),
            timestamp: snapshot.timestamp(),
            snapshot: Mutex::new(Some(snapshot)),
        })
    }
}

impl QuerySnapshot {
    /// The timestamp, in nanoseconds since the Unix epoch.
    pub fn timestamp_nanos(&self) -> u64 {
        self.timestamp.as_nanos()
    }

    /// Runs a query by its name.
    pub async fn query(&self, call: FunctionCall) -> FunctionOutcome {
        let mut log_lines = Vec::new();
        let result = self.run(call, &mut log_lines).await;
        FunctionOutcome {
            result,
            log_lines,
            timestamp: self.timestamp,
        }
    }

    async fn run(
        &self,
        call: FunctionCall,
        log_lines: &mut Vec<String>,
    ) -> Result<lentil_values::Value> {
        let function = self
            .runtime
            .registry()
            .named(&call.path, call.identity.visibility())?;
        check_args(&self.runtime, &function, &call.args)?;
        let mut held = self.snapshot.lock().await;
        let gone = || {
            Error::new(
                Code::Unavailable,
                "the snapshot is no more; begin with a new one",
            )
        };
        let snapshot = held.take().ok_or_else(gone)?;
        let ran = self
            .runtime
            .execute_query(&function, call.args, None, &call.identity, snapshot)
            .await;
        let (run, snapshot) = ran?;
        *held = Some(snapshot);
        log_lines.extend_from_slice(&run.log_lines);
        into_value(&run)
    }
}
