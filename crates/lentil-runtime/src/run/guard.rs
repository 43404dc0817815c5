use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

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
    match tokio::time::timeout(limit, catch_panic(name, running)).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(Code::TimedOut, format!("`{name}` ran longer than {} ms", limit.as_millis()))),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
