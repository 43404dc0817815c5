use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use lentil_call::{Error, RequestId};
use lentil_store::Timestamp;
use lentil_store::conflict::ReadSet;
use lentil_values::{JsonForm, Value, allocation};

use crate::executions::ExecutionId;
use crate::memory::Charge;

/// The result of an execution of a query, and the reads that it depends on.
#[derive(Debug)]
pub struct QueryResult {
    /// The result, or the function's error.
    pub result: Result<Arc<Value>, Error>,
    /// The log lines of the execution.
    pub log_lines: Vec<String>,
    /// The reads that the result depends on.
    pub read_set: ReadSet,
    /// The timestamp of the snapshot that the query read.
    pub timestamp: Timestamp,
    /// The end of the page that the query read, if it paginated.
    pub journal: Option<String>,
    /// The result as `JSON.stringify` writes it, once it was asked for.
    pub json: OnceLock<Bytes>,
    /// The charge for the memory of all fields, shared by all holders.
    pub charge: Charge,
    /// The request that caused the execution; the log has an error under this id.
    pub request_id: RequestId,
    /// The execution that computed it.
    pub execution: ExecutionId,
}

/// Copies of a read set's intervals: one in the set, and one each in the interval maps of the cache
/// and of live queries.
const COPIES_OF_INTERVALS: usize = 3;

impl QueryResult {
    /// Estimates its memory in bytes, without its JSON.
    pub fn heap_size(&self) -> usize {
        let mut bytes = allocation(size_of::<QueryResult>());
        if let Ok(value) = &self.result {
            bytes += value.heap_size();
        }
        for line in &self.log_lines {
            bytes += allocation(line.len());
        }
        if let Some(journal) = &self.journal {
            bytes += allocation(journal.len());
        }
        bytes + COPIES_OF_INTERVALS * self.read_set.heap_size()
    }

    /// Returns the result as `JSON.stringify` writes it, or the function's error.
    pub(crate) fn json(&self) -> Result<Bytes, Error> {
        let value = self.result.as_ref().map_err(Error::clone)?;
        // Boxed, because spare capacity would stay allocated for as long as the result is cached.
        let exactly = || {
            let text = value.to_json(JsonForm::JavaScript).into_boxed_str();
            self.charge
                .another(text.len())
                .attach(text.into_boxed_bytes())
        };
        Ok(self.json.get_or_init(exactly).clone())
    }
}
