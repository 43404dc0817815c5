use std::time::SystemTime;

use crate::Timestamp;

/// Where stores and functions take the time from; tests move theirs by hand.
pub trait Clock: Send + Sync + 'static {
    /// The time now. It may go back; what must not is clamped where it is used.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_nanos(since_epoch.as_nanos() as u64)
    }
}
