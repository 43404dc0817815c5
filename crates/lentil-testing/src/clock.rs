use std::sync::Arc;
use std::time::Duration;

use lentil_store::{Clock, Timestamp};
use parking_lot::Mutex;

/// A clock that stands still until the test moves it. Clones share the time.
#[derive(Clone)]
pub struct TestClock(Arc<Mutex<Time>>);

#[derive(Default)]
struct Time {
    now_nanos: u64,
    /// The clock's time before it was first advanced.
    start_nanos: Option<u64>,
}

impl TestClock {
    /// Returns a clock at this time, in milliseconds since the Unix epoch.
    pub fn at_ms(now_ms: f64) -> TestClock {
        let clock = TestClock(Arc::default());
        clock.set_ms(now_ms);
        clock
    }

    /// Sets the time, in milliseconds since the Unix epoch.
    pub fn set_ms(&self, now_ms: f64) {
        self.0.lock().now_nanos = (now_ms * 1e6) as u64;
    }

    /// Advances the clock.
    pub fn advance(&self, by: Duration) {
        let mut time = self.0.lock();
        let now_nanos = time.now_nanos;
        // Only the first advance counts. `set_ms` before it chooses when the test begins.
        time.start_nanos.get_or_insert(now_nanos);
        time.now_nanos += by.as_nanos() as u64;
    }

    /// Returns the time at which the test began, in milliseconds: before the clock was advanced.
    /// Crons start then, even if the backend opens later.
    pub(crate) fn start_ms(&self) -> f64 {
        let time = self.0.lock();
        let start_nanos = time.start_nanos.unwrap_or(time.now_nanos);
        Timestamp::from_nanos(start_nanos).as_millis()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.lock().now_nanos)
    }
}
