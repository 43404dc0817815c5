use std::sync::Arc;
use std::time::Duration;

use lentil_store::{Clock, Timestamp};
use parking_lot::Mutex;

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub struct TestClock(Arc<Mutex<Hands>>);

#[derive(Default)]
struct Hands {
    now_nanos: u64,
    /// The clock's time before it was first advanced.
    start_nanos: Option<u64>,
}

impl TestClock {
    /// A clock that shows this time, in milliseconds since the Unix epoch.
    pub fn at_ms(now_ms: f64) -> TestClock {
        let clock = TestClock(Arc::default());
        clock.set_ms(now_ms);
        clock
    }

    /// Shows another time from now on, in milliseconds since the Unix epoch.
    pub fn set_ms(&self, now_ms: f64) {
        self.0.lock().now_nanos = (now_ms * 1e6) as u64;
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.0.lock();
        let now_nanos = hands.now_nanos;
        hands.start_nanos.get_or_insert(now_nanos);
        hands.now_nanos += by.as_nanos() as u64;
    }

    /// When the test began, in milliseconds: time that has passed since then has passed for the backend too, also
    /// where it is first used later.
    pub(crate) fn start_ms(&self) -> f64 {
        let hands = self.0.lock();
        let start_nanos = hands.start_nanos.unwrap_or(hands.now_nanos);
        Timestamp::from_nanos(start_nanos).as_millis()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.lock().now_nanos)
    }
}
