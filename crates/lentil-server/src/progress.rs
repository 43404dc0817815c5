//! One rule for request bodies, responses and WebSocket messages: a peer must read or send fast
//! enough.
//!
//! A [`PeerTimer`] runs while bytes wait for a peer, or while its body is incomplete. The peer is
//! late in two cases:
//!
//! - None of its bytes have moved for [`ProgressRule::timeout`].
//! - After [`ProgressRule::grace`], its average rate is below [`ProgressRule::min_rate`]. The
//!   average covers the time that the server has waited for the peer, the grace included.
//!
//! The time in which the server does not wait for the peer does not count.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

/// The longest time without progress during the shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The interval between two checks of a peer.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The limits of a slow peer.
#[derive(Debug)]
pub(crate) struct ProgressRule {
    /// The longest time without progress.
    pub(crate) timeout: Duration,
    /// The waiting time in which the rate does not count.
    pub(crate) grace: Duration,
    /// The lowest average rate in bytes per second.
    pub(crate) min_rate: f64,
    pub(crate) shutdown: CancellationToken,
}

impl ProgressRule {
    fn check_interval(&self) -> Duration {
        // A short timeout needs more frequent checks to be noticed in time.
        CHECK_INTERVAL.min(self.timeout / 4)
    }

    fn timeout_now(&self) -> Duration {
        if self.shutdown.is_cancelled() {
            self.timeout.min(SHUTDOWN_TIMEOUT)
        } else {
            self.timeout
        }
    }
}

/// Measures the time that the server waits for a peer, and the peer's progress.
pub(crate) struct PeerTimer {
    rule: Arc<ProgressRule>,
    next_check: Pin<Box<Sleep>>,
    /// The bytes moved at the last check. `None` before the first check.
    moved: Option<u64>,
    progress_at: Instant,
    /// The start of the current wait. `None` while the server does not wait.
    waiting_since: Option<Instant>,
    /// The total time of the earlier waits.
    waited: Duration,
}

impl PeerTimer {
    pub(crate) fn new(rule: &Arc<ProgressRule>) -> PeerTimer {
        PeerTimer {
            rule: Arc::clone(rule),
            next_check: Box::pin(tokio::time::sleep(rule.check_interval())),
            moved: None,
            progress_at: Instant::now(),
            waiting_since: None,
            waited: Duration::ZERO,
        }
    }

    /// Polls whether the peer is late. Begins a wait if none is running.
    ///
    /// `moved` returns the number of bytes of the body, message or blocked response that the peer
    /// has read or sent so far. It returns `None` while something other than the peer delays them,
    /// which restarts the timer.
    pub(crate) fn poll_late(
        &mut self,
        cx: &mut Context<'_>,
        mut moved: impl FnMut() -> Option<u64>,
    ) -> Poll<()> {
        if self.waiting_since.is_none() {
            self.wait_from(Instant::now());
        }
        loop {
            // Polled again after each reset, which registers the waker for the next check.
            ready!(self.next_check.as_mut().poll(cx));
            let now = Instant::now();
            self.next_check
                .as_mut()
                .reset(now + self.rule.check_interval());
            match moved() {
                Some(moved) if self.is_late(now, moved) => return Poll::Ready(()),
                Some(_) => {}
                None => {
                    self.restart();
                    self.wait_from(now);
                }
            }
        }
    }

    /// Ends the current wait. Bytes that the peer moves until the next one still count for the
    /// average.
    pub(crate) fn pause(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    fn wait_from(&mut self, now: Instant) {
        self.waiting_since = Some(now);
        self.progress_at = now;
    }

    /// Resets the timer.
    pub(crate) fn restart(&mut self) {
        self.waiting_since = None;
        self.waited = Duration::ZERO;
        self.moved = None;
    }

    fn is_late(&mut self, now: Instant, moved: u64) -> bool {
        let last = *self.moved.get_or_insert(moved);
        if moved != last {
            self.moved = Some(moved);
            self.progress_at = now;
        }
        let rule = &self.rule;
        if now - self.progress_at >= rule.timeout_now() {
            return true;
        }
        let mut waited = self.waited;
        if let Some(since) = self.waiting_since {
            waited += now - since;
        }
        waited > rule.grace && (moved as f64) < waited.as_secs_f64() * rule.min_rate
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn rule() -> Arc<ProgressRule> {
        Arc::new(ProgressRule {
            timeout: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            min_rate: 1024.0,
            shutdown: CancellationToken::new(),
        })
    }

    /// Returns the time after which a peer that moves `bytes` every `interval` is late.
    async fn late_after(rule: &Arc<ProgressRule>, bytes: u64, interval: Duration) -> Option<u64> {
        let moved = Arc::new(AtomicU64::new(0));
        let moving = tokio::spawn({
            let moved = Arc::clone(&moved);
            async move {
                loop {
                    tokio::time::sleep(interval).await;
                    moved.fetch_add(bytes, Ordering::Relaxed);
                }
            }
        });
        let began = Instant::now();
        let mut timer = PeerTimer::new(rule);
        let late = poll_fn(|cx| timer.poll_late(cx, || Some(moved.load(Ordering::Relaxed))));
        let late = tokio::time::timeout(Duration::from_secs(3_600), late).await;
        moving.abort();
        late.is_ok().then(|| began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn peer_is_late_without_progress_or_below_the_rate() {
        let rule = rule();
        let second = Duration::from_secs(1);
        let almost_timeout = Duration::from_secs(29);
        assert_eq!(late_after(&rule, 0, second).await, Some(30));
        assert_eq!(late_after(&rule, 2_000, second).await, None);
        assert_eq!(late_after(&rule, 70_000, almost_timeout).await, None);
        for (bytes, interval) in [(1_000, second), (500, second), (1, almost_timeout)] {
            let late = late_after(&rule, bytes, interval).await;
            assert!(
                late.is_some_and(|after| (30..=31).contains(&after)),
                "{bytes} bytes: {late:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_time_spent_waiting_counts() {
        let rule = rule();
        let mut timer = PeerTimer::new(&rule);
        for _ in 0..10 {
            let late = poll_fn(|cx| timer.poll_late(cx, || Some(0)));
            let late = tokio::time::timeout(Duration::from_secs(2), late).await;
            assert!(late.is_err());
            timer.pause();
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn peer_without_progress_does_not_hold_up_the_shutdown() {
        let rule = rule();
        rule.shutdown.cancel();
        let second = Duration::from_secs(1);
        assert!(
            late_after(&rule, 0, second)
                .await
                .is_some_and(|after| after <= 2)
        );
        assert_eq!(late_after(&rule, 50_000, second).await, None);
    }
}
