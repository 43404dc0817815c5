use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lentil_store::{Clock, Timestamp};

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    /// A clock that shows this time, in milliseconds since the Unix epoch.
    pub fn at_ms(now_ms: f64) -> TestClock {
        let clock = TestClock(Arc::default());
        clock.set_ms(now_ms);
        clock
    }

    /// Shows another time from now on, in milliseconds since the Unix epoch.
    pub fn set_ms(&self, now_ms: f64) {
        self.0.store((now_ms * 1e6) as u64, Ordering::SeqCst);
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.load(Ordering::SeqCst))
    }
}
