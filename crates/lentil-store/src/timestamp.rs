use std::fmt;

/// A commit's place in the order of all commits: nanoseconds since the Unix epoch, at least one above the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Before every commit.
    pub const MIN: Timestamp = Timestamp(0);

    /// The timestamp of this many nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: u64) -> Timestamp {
        Timestamp(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Milliseconds since the Unix epoch with their fraction, as `_creationTime` and `Date.now()` count.
    pub fn as_millis(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// The timestamp for a commit made at `now` after `self`: the clock's, unless it stood still or went back.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Timestamp {
        now.max(Timestamp(self.0 + 1))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
