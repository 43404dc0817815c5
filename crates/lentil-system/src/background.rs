//! Waiting, as the modules do it in the background.

use std::time::Duration;

use lentil_call::Backoff;
use lentil_runtime::{Result, Runtime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The longest time between two looks at the clock, which may be set.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// Clock adjustments below this are ordinary, and ignored.
pub(crate) const CLOCK_STEP_MS: f64 = 60_000.0;
/// The pauses between attempts to start.
pub(crate) const START_BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
const PRUNE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Returns the time until `next_ms`, at most the poll interval.
pub(crate) fn time_until(next_ms: Option<f64>, now_ms: f64) -> Duration {
    match next_ms {
        Some(next_ms) => {
            let seconds = ((next_ms - now_ms) / 1e3).clamp(0.0, POLL_INTERVAL.as_secs_f64());
            Duration::from_secs_f64(seconds)
        }
        None => POLL_INTERVAL,
    }
}

/// Deletes old records every hour until `stop`. `prune` gets the time now.
///
/// The first hour is left for setting a clock that is wrong at boot. A clock that jumps ahead does
/// not make records old: the time advances by the hours that have passed.
pub(crate) async fn prune_hourly<F: Future<Output = Result<usize>>>(
    runtime: &Runtime,
    stop: &CancellationToken,
    prune: impl Fn(f64) -> F,
) {
    let began = Instant::now();
    let began_ms = runtime.now_ms();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PRUNE_INTERVAL) => {}
        }
        let passed_ms = began.elapsed().as_secs_f64() * 1e3;
        let now_ms = runtime.now_ms().min(began_ms + passed_ms);
        if let Err(error) = prune(now_ms).await {
            tracing::warn!(%error, "failed to delete old records");
        }
    }
}
