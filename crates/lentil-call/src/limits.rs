use std::fmt;
use std::time::Duration;

use crate::code::Code;
use crate::error::{Error, Result};

const MIB: usize = 1 << 20;

/// The limits of a call. The defaults are those of Convex.
///
/// ```
/// use lentil_call::Limits;
///
/// let mut limits = Limits::default();
/// limits.documents_written = 100;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Documents that one query or mutation may read.
    pub documents_read: usize,
    /// Bytes of documents that one query or mutation may read.
    pub bytes_read: usize,
    /// Index ranges that one query or mutation may read.
    pub ranges_read: usize,
    /// Index entries that one query or mutation may count. Counting reads no documents, so the
    /// limit is higher than that of documents. Convex has no such limit.
    pub entries_counted: usize,
    /// Documents that one mutation may write.
    pub documents_written: usize,
    /// Bytes of documents that one mutation may write.
    pub bytes_written: usize,
    /// Bytes of one document, its system fields included.
    pub document_bytes: usize,
    /// Levels of objects and arrays in one document.
    pub document_nesting: usize,
    /// Bytes of a call's arguments.
    pub argument_bytes: usize,
    /// Bytes of a call's result.
    pub result_bytes: usize,
    /// Time limit of a query.
    pub query_time: Duration,
    /// Time limit of a mutation, from the time at which it has the write lock.
    pub mutation_time: Duration,
    /// Time limit of an action or an HTTP action.
    pub action_time: Duration,
    /// Levels of nested calls.
    pub call_depth: usize,
    /// Functions that one mutation may schedule or cancel.
    pub scheduled_functions: usize,
    /// Bytes of the arguments of one scheduled function.
    pub scheduled_argument_bytes: usize,
    /// Log lines that one call may write. Further lines are dropped.
    pub log_lines: usize,
    /// Bytes of one log line. The rest of the line is dropped.
    pub log_line_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            documents_read: 32_000,
            bytes_read: 16 * MIB,
            ranges_read: 4_096,
            entries_counted: 1_000_000,
            documents_written: 16_000,
            bytes_written: 16 * MIB,
            document_bytes: MIB,
            document_nesting: 16,
            argument_bytes: 16 * MIB,
            result_bytes: 16 * MIB,
            query_time: Duration::from_secs(1),
            mutation_time: Duration::from_secs(1),
            action_time: Duration::from_secs(1_800),
            call_depth: 8,
            scheduled_functions: 1_000,
            scheduled_argument_bytes: 4 * MIB,
            log_lines: 256,
            log_line_bytes: 32_768,
        }
    }
}

/// Returns an error if a value of `bytes` bytes is over `limit`.
pub fn check_size(what: impl fmt::Display, bytes: usize, limit: usize) -> Result<()> {
    if bytes <= limit {
        return Ok(());
    }
    let message = format!(
        "{what} would be {bytes} bytes; the limit is {}",
        Bytes(limit)
    );
    Err(Error::new(Code::ValueTooLarge, message))
}

struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= MIB && self.0.is_multiple_of(MIB) {
            write!(f, "{} MiB", self.0 / MIB)
        } else {
            write!(f, "{} bytes", self.0)
        }
    }
}
