use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use lentil_store::Timestamp;
use lentil_values::{JsonForm, Value};

use super::ReadSet;
use crate::Error;

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
}

impl CachedRun {
    /// The result as `JSON.stringify` writes it, or the function's error.
    pub(crate) fn json(&self) -> Result<Bytes, Error> {
        let value = self.result.as_ref().map_err(Error::clone)?;
        let exactly = || {
            value
                .to_json(JsonForm::JavaScript)
                .into_boxed_str()
                .into_boxed_bytes()
                .into()
        };
        Ok(self.json.get_or_init(exactly).clone())
    }
}
