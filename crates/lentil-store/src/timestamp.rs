use std::fmt;

/// A position in the order of all commits: nanoseconds since the Unix epoch, greater than every
/// earlier commit's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The timestamp before every commit.
    pub const MIN: Timestamp = Timestamp(0);

    /// Makes a timestamp from nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: u64) -> Timestamp {
        Timestamp(nanos)
    }

    /// Returns the nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns the milliseconds since the Unix epoch with their fraction, the unit of
    /// `_creationTime` and `Date.now()`.
    pub fn as_millis(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Returns the timestamp for a commit at `now`, after a commit at `self`. It is the clock's
    /// time unless the clock stood still or went back.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Timestamp {
        // Two commits never share a timestamp, because readers name their view by it.
        now.max(Timestamp(self.0 + 1))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
