use parking_lot::Mutex;

/// The source of `_creationTime`s.
///
/// Each is the time of the clock, but greater than the one before: across transactions and
/// restarts, and when the clock goes back. So documents in the order of their creation times are in
/// the order of their creation.
pub struct CreationTimes(Mutex<f64>);

impl CreationTimes {
    /// Returns creation times that are greater than `last_ms`.
    pub fn after(last_ms: f64) -> CreationTimes {
        CreationTimes(Mutex::new(last_ms))
    }

    /// Returns the greatest creation time so far.
    pub fn last(&self) -> f64 {
        *self.0.lock()
    }

    /// Returns the next creation time: `now_ms`, or the least that is greater than the last.
    pub fn next(&self, now_ms: f64) -> f64 {
        let mut last = self.0.lock();
        // `next_up` is the smallest step of a double, so that many documents in one millisecond
        // hardly run ahead of the clock.
        *last = now_ms.max(last.next_up());
        *last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creation_times_increase_when_the_clock_stands_still_or_goes_back() {
        let times = CreationTimes::after(100.0);
        let made = [
            times.next(99.0),
            times.next(200.0),
            times.next(200.0),
            times.next(150.0),
            times.next(300.0),
        ];
        assert_eq!(made[1], 200.0);
        assert_eq!(made[4], 300.0);
        assert!(made.is_sorted_by(|a, b| a < b), "{made:?}");
        assert!(made[0] > 100.0);
    }
}
