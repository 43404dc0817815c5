use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tracing::Instrument;

/// Work that is done to its end once it has begun: when the one who waits for it goes away, what is left of it goes on
/// in a task of its own, in the same span.
///
/// A task from the beginning would do too, and cost two changes of tasks with each request.
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
            .expect("a future is not polled after its end");
        // Should it panic here, it is dropped, and not gone on with.
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for RunToCompletion<F> {
    fn drop(&mut self) {
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
    async fn who_goes_away_loses_the_answer_and_not_the_work() {
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
    async fn what_has_not_begun_is_not_done() {
        let (mark, held) = (Arc::new(()), Arc::new(()));
        let kept = Arc::clone(&mark);
        drop(RunToCompletion::new(async move { drop((kept, held)) }));
        assert_eq!(Arc::strong_count(&mark), 1, "it is gone at once");
    }

    #[tokio::test]
    async fn its_answer_is_its_own() {
        assert_eq!(RunToCompletion::new(async { 7 }).await, 7);
    }
}
