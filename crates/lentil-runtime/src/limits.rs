use std::fmt;
use std::time::Duration;

use crate::{Code, Error, Result};

const MIB: usize = 1 << 20;

/// What one call may use. The defaults are Convex's figures; of counting, which Convex has not, our own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Documents that one query or mutation may read.
    pub documents_read: usize,
    /// Bytes of documents that one query or mutation may read.
    pub bytes_read: usize,
    /// Index ranges that one query or mutation may read.
    pub ranges_read: usize,
    /// Index entries that one query or mutation may count. Counting reads no documents and is not limited by how many
    /// may be read; this is so much more because counting costs so much less.
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
    /// How long a query may run.
    pub query_time: Duration,
    /// How long a mutation may run, the wait for its turn apart.
    pub mutation_time: Duration,
    /// How long an action or an HTTP action may run.
    pub action_time: Duration,
    /// How deep calls may nest.
    pub call_depth: usize,
    /// Functions that one mutation may schedule or cancel.
    pub scheduled_functions: usize,
    /// Bytes of the arguments of one scheduled function.
    pub scheduled_argument_bytes: usize,
    /// Log lines that one call may write; the rest are left out.
    pub log_lines: usize,
    /// Bytes of one log line; the rest is cut off.
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

/// What a transaction has used so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    documents_read: usize,
    bytes_read: usize,
    ranges_read: usize,
    entries_counted: usize,
    written: Written,
}

/// The writes of a transaction so far; a nested mutation that fails gives its part back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    documents: usize,
    bytes: usize,
    scheduled: usize,
}

impl Usage {
    pub(crate) fn read_range(&mut self, limits: &Limits) -> Result<()> {
        self.ranges_read += 1;
        within(self.ranges_read, limits.ranges_read, "index ranges read")
    }

    pub(crate) fn read_document(&mut self, bytes: usize, limits: &Limits) -> Result<()> {
        self.documents_read += 1;
        self.bytes_read += bytes;
        within(self.documents_read, limits.documents_read, "documents read")?;
        within(self.bytes_read, limits.bytes_read, "bytes read")
    }

    pub(crate) fn count_entries(&mut self, entries: usize, limits: &Limits) -> Result<()> {
        self.entries_counted += entries;
        within(
            self.entries_counted,
            limits.entries_counted,
            "index entries counted",
        )
    }

    /// Counts a document that is about to be written; one that is refused does not count.
    pub(crate) fn write_document(&mut self, bytes: usize, limits: &Limits) -> Result<()> {
        let documents_written = self.written.documents + 1;
        let bytes_written = self.written.bytes + bytes;
        within(
            documents_written,
            limits.documents_written,
            "documents written",
        )?;
        within(bytes_written, limits.bytes_written, "bytes written")?;
        self.written.documents = documents_written;
        self.written.bytes = bytes_written;
        Ok(())
    }

    /// Counts a function that is about to be scheduled or canceled; one that is refused does not count.
    pub(crate) fn schedule(&mut self, limits: &Limits) -> Result<()> {
        let scheduled = self.written.scheduled + 1;
        within(
            scheduled,
            limits.scheduled_functions,
            "functions scheduled or canceled",
        )?;
        self.written.scheduled = scheduled;
        Ok(())
    }

    pub(crate) fn written(&self) -> Written {
        self.written
    }

    /// Resets the counts of writes to `earlier`. Reads stay counted: they have happened.
    pub(crate) fn roll_back_to(&mut self, earlier: Written) {
        self.written = earlier;
    }

    /// Returns how much more may be read.
    pub(crate) fn reads_left(&self, limits: &Limits) -> ReadsLeft {
        ReadsLeft {
            documents: limits.documents_read.saturating_sub(self.documents_read),
            bytes: limits.bytes_read.saturating_sub(self.bytes_read),
        }
    }

    /// How many more index entries may be counted.
    pub(crate) fn entries_left(&self, limits: &Limits) -> usize {
        limits.entries_counted.saturating_sub(self.entries_counted)
    }
}

/// The number of documents, and of their bytes, that a transaction may still read.
pub(crate) struct ReadsLeft {
    pub(crate) documents: usize,
    pub(crate) bytes: usize,
}

fn within(used: usize, limit: usize, what: &str) -> Result<()> {
    if used <= limit {
        return Ok(());
    }
    Err(Error::new(
        Code::LimitExceeded,
        format!("too many {what} in one call: the limit is {limit}"),
    ))
}

/// Refuses a value of `bytes` bytes where `limit` are allowed.
pub(crate) fn check_size(what: impl fmt::Display, bytes: usize, limit: usize) -> Result<()> {
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
