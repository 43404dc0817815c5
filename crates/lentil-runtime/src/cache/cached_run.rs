use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use lentil_store::Timestamp;
use lentil_store::conflict::ReadSet;
use lentil_values::{JsonForm, Value, allocation};

use crate::memory::Charge;
use crate::{Error, ExecutionId, RequestId};

/// A query's answer, and what it rests on.
#[derive(Debug)]
pub struct CachedRun {
    /// The result, or the function's error.
    pub result: Result<Arc<Value>, Error>,
    /// What the query logged.
    pub log_lines: Vec<String>,
    /// What it read.
    pub read_set: ReadSet,
    /// The snapshot it read from.
    pub timestamp: Timestamp,
    /// The end of the page it read, if it paginated.
    pub journal: Option<String>,
    /// The result as `JSON.stringify` writes it, from when it was first asked for.
    pub json: OnceLock<Bytes>,
    /// The charge for the memory of all fields, shared by all holders.
    pub charge: Charge,
    /// The request that caused the execution; the log has an error under this id.
    pub request_id: RequestId,
    /// The execution that it comes from.
    pub execution: ExecutionId,
}

/// Copies of a read set's intervals: its own, and those in the interval maps of the cache and of live queries.
const COPIES_OF_INTERVALS: usize = 3;

impl CachedRun {
    /// Estimates the memory that it takes, its JSON apart.
    pub fn heap_size(&self) -> usize {
        let result = self.result.as_ref().map_or(0, |value| value.heap_size());
        let lines: usize = self
            .log_lines
            .iter()
            .map(|line| allocation(line.len()))
            .sum();
        let journal = self
            .journal
            .as_ref()
            .map_or(0, |journal| allocation(journal.len()));
        let reads = COPIES_OF_INTERVALS * self.read_set.heap_size();
        allocation(size_of::<CachedRun>()) + result + lines + journal + reads
    }

    /// The result as `JSON.stringify` writes it, or the function's error.
    pub(crate) fn json(&self) -> Result<Bytes, Error> {
        let value = self.result.as_ref().map_err(Error::clone)?;
        let exactly = || {
            let text = value.to_json(JsonForm::JavaScript).into_boxed_str();
            self.charge
                .another(text.len())
                .attach(text.into_boxed_bytes())
        };
        Ok(self.json.get_or_init(exactly).clone())
    }
}
