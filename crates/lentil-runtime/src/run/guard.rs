use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use crate::{Code, Error, Result};

/// Runs a function's future so that a panic fails this call alone.
///
/// Asserting unwind safety is right here: what the future could leave half done is its context, and a caller that
/// sees the error either drops that or rolls the nested part back.
pub(crate) async fn catch_panic<T>(name: &str, running: impl Future<Output = Result<T>>) -> Result<T> {
    match AssertUnwindSafe(running).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => {
            tracing::error!(function = name, panic = text_of(&*panic), "a function panicked");
            Err(Error::new(Code::Panicked, format!("`{name}` panicked: {}", text_of(&*panic))))
        }
    }
}

/// As [`catch_panic`], and stops the future at an await point once `limit` has passed.
pub(crate) async fn guard<T>(name: &str, limit: Duration, running: impl Future<Output = Result<T>>) -> Result<T> {
    let began = Instant::now();
    let (mut running, mut over) = (pin!(catch_panic(name, running)), None);
    poll_fn(|cx| {
        if let Poll::Ready(result) = running.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        // What is ready at once, as most of what the cache answers, needs no timer.
        let over = over.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit.saturating_sub(began.elapsed()))));
        over.as_mut()
            .poll(cx)
            .map(|()| Err(Error::new(Code::TimedOut, format!("`{name}` ran longer than {} ms", limit.as_millis()))))
    })
    .await
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
