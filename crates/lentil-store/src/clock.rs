use std::time::SystemTime;

use crate::timestamp::Timestamp;

/// The source of time for stores and functions. Tests use one that they move by hand.
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time. It may go back; a caller that needs increasing times must ensure
    /// that itself.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            // A clock before 1970 counts as 1970. Commits still get increasing timestamps from
            // `next`.
            .unwrap_or_default();
        Timestamp::from_nanos(since_epoch.as_nanos() as u64)
    }
}
