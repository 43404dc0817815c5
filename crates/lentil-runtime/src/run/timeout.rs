use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lentil_call::{Code, Error, Result};
use tokio::time::Instant;

/// Runs a function's future, and returns an error if it panics.
///
/// The caller pins the future, because a future that is moved into another makes it as large again.
pub(crate) async fn catch_panic<T>(
    name: &str,
    mut running: Pin<&mut (impl Future<Output = Result<T>> + ?Sized)>,
) -> Result<T> {
    poll_fn(|cx| poll_caught(name, running.as_mut(), cx)).await
}

/// As [`catch_panic`], with a timeout: stops the future at an await point once `limit` has passed
/// since it `began`.
pub(crate) async fn run_with_timeout<T>(
    name: &str,
    began: Instant,
    limit: Duration,
    mut running: Pin<&mut (impl Future<Output = Result<T>> + ?Sized)>,
) -> Result<T> {
    let mut timeout = None;
    poll_fn(|cx| {
        if let Poll::Ready(result) = poll_caught(name, running.as_mut(), cx) {
            return Poll::Ready(result);
        }
        // Most functions are ready at the first poll, and need no timer.
        let timeout = timeout.get_or_insert_with(|| {
            Box::pin(tokio::time::sleep(limit.saturating_sub(began.elapsed())))
        });
        timeout.as_mut().poll(cx).map(|()| {
            Err(Error::new(
                Code::TimedOut,
                format!("`{name}` ran longer than {} ms", limit.as_millis()),
            ))
        })
    })
    .await
}

/// Polls a future, and turns a panic into an error.
///
/// The assertion of unwind safety is correct: a panic may leave the context inconsistent, but a
/// caller that gets the error drops the context, or rolls back to a savepoint.
fn poll_caught<T>(
    name: &str,
    running: Pin<&mut (impl Future<Output = Result<T>> + ?Sized)>,
    cx: &mut Context<'_>,
) -> Poll<Result<T>> {
    catch_unwind(AssertUnwindSafe(|| running.poll(cx))).unwrap_or_else(|panic| {
        Poll::Ready(Err(Error::new(
            Code::Panicked,
            format!("`{name}` panicked: {}", text_of(&*panic)),
        )))
    })
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
