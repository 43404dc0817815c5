use lentil_call::{Code, Error, Limits, Result};

/// The reads and writes that a transaction counts against the limits of its call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    documents_read: usize,
    bytes_read: usize,
    ranges_read: usize,
    entries_counted: usize,
    written: Written,
}

/// The counted writes. A nested mutation that fails subtracts its part.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    documents: usize,
    bytes: usize,
    scheduled: usize,
}

impl Usage {
    pub(crate) fn read_range(&mut self, limits: &Limits) -> Result<()> {
        // Counted even if it is over the limit, because reads are not undone.
        self.ranges_read += 1;
        within(self.ranges_read, limits.ranges_read, "index ranges read")
    }

    pub(crate) fn read_document(&mut self, bytes: usize, limits: &Limits) -> Result<()> {
        self.documents_read += 1;
        self.bytes_read += bytes;
        within(self.documents_read, limits.documents_read, "documents read")?;
        within(self.bytes_read, limits.bytes_read, "bytes read")
    }

    pub(crate) fn bytes_read(&self) -> usize {
        self.bytes_read
    }

    pub(crate) fn count_entries(&mut self, entries: usize, limits: &Limits) -> Result<()> {
        self.entries_counted += entries;
        within(
            self.entries_counted,
            limits.entries_counted,
            "index entries counted",
        )
    }

    /// Counts a document that is about to be written. A rejected write does not count.
    pub(crate) fn write_document(&mut self, bytes: usize, limits: &Limits) -> Result<()> {
        // Assigned only after the checks: the function may handle the error and write less.
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

    /// Counts a function that is about to be scheduled or canceled. A rejected call does not count.
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

    /// Resets the counts of writes to `earlier`. Reads stay counted.
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

    /// Returns how many more index entries may be counted.
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
