use std::time::Duration;

/// Exponential back-off: pauses between attempts, each twice as long as the one before, up to a
/// maximum.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    /// Returns a back-off that begins with a pause of `first` and never exceeds `max`.
    pub const fn new(first: Duration, max: Duration) -> Backoff {
        Backoff { next: first, max }
    }

    /// Returns the next pause.
    pub fn next_pause(&mut self) -> Duration {
        // Limited before it is doubled, so that the pause cannot overflow.
        let pause = self.next.min(self.max);
        self.next = pause * 2;
        pause
    }

    /// Returns a random part of the next pause, so that callers that failed together do not retry
    /// together.
    ///
    /// `random` is a number in `[0, 1)`.
    pub fn next_pause_with_jitter(&mut self, random: f64) -> Duration {
        self.next_pause().mul_f64(random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_maximum() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(500), ms(3_000));
        let pauses: Vec<Duration> = (0..5).map(|_| backoff.next_pause()).collect();
        assert_eq!(pauses, [500, 1_000, 2_000, 3_000, 3_000].map(ms));
    }

    #[test]
    fn jitter_takes_a_part_of_each_pause() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(2_000));
        assert_eq!(backoff.next_pause_with_jitter(0.5), ms(50));
        assert_eq!(backoff.next_pause_with_jitter(0.25), ms(50));
    }
}
