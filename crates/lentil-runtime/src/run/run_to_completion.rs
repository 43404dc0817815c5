use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tracing::Instrument;

/// A future that runs to completion once it has been polled: when it is dropped, the rest continues
/// in a separate task, in the same span.
///
/// A task from the start would do the same, but each request would pay for two context switches.
pub(crate) struct RunToCompletion<F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    has_begun: bool,
}

impl<F: Future<Output: Send> + Send + 'static> RunToCompletion<F> {
    pub(crate) fn new(work: F) -> RunToCompletion<F> {
        RunToCompletion {
            work: Some(Box::pin(work)),
            has_begun: false,
        }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for RunToCompletion<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.has_begun = true;
        let mut work = self
            .work
            .take()
            .expect("a future is not polled after it has completed");
        // The work is put back after the poll, so that work that panics is dropped and not
        // continued.
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for RunToCompletion<F> {
    fn drop(&mut self) {
        // Work that was never polled has had no effect, and need not be completed.
        let Some(work) = self.work.take().filter(|_| self.has_begun) else {
            return;
        };
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn(work.in_current_span()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn dropped_work_continues() {
        let (go, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let work = {
            let (go, done) = (Arc::clone(&go), Arc::clone(&done));
            async move {
                go.notified().await;
                done.notify_one();
            }
        };
        let mut waiting = RunToCompletion::new(work);
        assert!((&mut waiting).now_or_never().is_none());
        drop(waiting);
        go.notify_one();
        done.notified().await;
    }

    #[tokio::test]
    async fn work_that_was_not_polled_does_not_run() {
        let (mark, held) = (Arc::new(()), Arc::new(()));
        let kept = Arc::clone(&mark);
        drop(RunToCompletion::new(async move { drop((kept, held)) }));
        assert_eq!(Arc::strong_count(&mark), 1, "it was dropped at once");
    }

    #[tokio::test]
    async fn the_result_is_returned() {
        assert_eq!(RunToCompletion::new(async { 7 }).await, 7);
    }
}
