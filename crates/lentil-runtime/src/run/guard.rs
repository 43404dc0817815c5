use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lentil_call::{Code, Error, Result};
use tokio::time::Instant;

/// Runs a function's future so that a panic fails this call alone.
///
/// The future is pinned where it was made: each function that took it over would be as large again.
pub(crate) async fn catch_panic<T>(
    name: &str,
    mut running: Pin<&mut (impl Future<Output = Result<T>> + ?Sized)>,
) -> Result<T> {
    poll_fn(|cx| poll_caught(name, running.as_mut(), cx)).await
}

/// As [`catch_panic`], and stops the future at an await point once `limit` has passed since it `began`.
pub(crate) async fn guard<T>(
    name: &str,
    began: Instant,
    limit: Duration,
    mut running: Pin<&mut (impl Future<Output = Result<T>> + ?Sized)>,
) -> Result<T> {
    let mut over = None;
    poll_fn(|cx| {
        if let Poll::Ready(result) = poll_caught(name, running.as_mut(), cx) {
            return Poll::Ready(result);
        }
        // What is ready at once, as most of what the cache answers, needs no timer.
        let over = over.get_or_insert_with(|| {
            Box::pin(tokio::time::sleep(limit.saturating_sub(began.elapsed())))
        });
        over.as_mut().poll(cx).map(|()| {
            Err(Error::new(
                Code::TimedOut,
                format!("`{name}` ran longer than {} ms", limit.as_millis()),
            ))
        })
    })
    .await
}

/// Polls, and ends with an error where that panics.
///
/// Asserting unwind safety is right here: what the future could leave half done is its context, and a caller that
/// sees the error either drops that or rolls the nested part back.
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
