//! Request bodies: hyper's stream as the runtime reads it, with limits of size, time and memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body::Body as _;
use hyper::body::Incoming;
use lentil_runtime::http::{Body, BodyError};
use lentil_runtime::memory::Account;
use tokio::time::Instant;

use crate::progress::{PeerTimer, ProgressRule};

/// The time that an incomplete body still has once the server shuts down.
const SHUTDOWN_BODY_TIMEOUT: Duration = Duration::from_secs(3);

/// The body of a request, and the account of the client that sends it.
pub(crate) struct RequestBody {
    pub(crate) incoming: Incoming,
    pub(crate) account: Account,
}

impl RequestBody {
    /// Converts to a body that fails above `limit` bytes, or when the client is late by `rule`.
    pub(crate) fn into_body(self, rule: &Arc<ProgressRule>, limit: usize) -> Body {
        let RequestBody { incoming, account } = self;
        if incoming.is_end_stream() {
            return Body::empty();
        }
        let reader = BodyReader {
            incoming: Some(incoming),
            received: 0,
            limit,
            rule: Arc::clone(rule),
            timer: None,
            shutdown_since: None,
            account: account.clone(),
            pause: None,
        };
        Body::from_stream(reader).charged_to(account)
    }
}

/// Streams the chunks of a request's body. The first error ends the stream.
struct BodyReader {
    incoming: Option<Incoming>,
    received: usize,
    limit: usize,
    rule: Arc<ProgressRule>,
    /// Created when the reader first waits for the client.
    timer: Option<PeerTimer>,
    /// The time at which the reader noticed the shutdown.
    shutdown_since: Option<Instant>,
    account: Account,
    /// Completes when the server may read from the client again. Set while the client holds more
    /// than its share of memory.
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl BodyReader {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let too_large = BodyError::TooLarge { limit: self.limit };
        let is_cut_short = self.is_cut_short();
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        if is_cut_short {
            return Poll::Ready(Some(Err(BodyError::ShuttingDown)));
        }
        // A `Content-Length` above the limit is refused before its bytes arrive.
        if incoming.size_hint().lower() > (self.limit - self.received) as u64 {
            return Poll::Ready(Some(Err(too_large)));
        }

        if self.pause.is_none() && !self.account.is_readable() {
            let account = self.account.clone();
            self.pause = Some(Box::pin(async move { account.readable().await }));
            // The client is not late while the server does not read.
            if let Some(timer) = &mut self.timer {
                timer.pause();
            }
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
        }

        loop {
            let frame = match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(BodyError::Incomplete(error.to_string()))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            };
            // Functions do not see trailers, and an empty frame is not progress.
            let Some(chunk) = frame.into_data().ok().filter(|chunk| !chunk.is_empty()) else {
                continue;
            };
            self.pause = None;
            if let Some(timer) = &mut self.timer {
                timer.pause();
            }
            self.received += chunk.len();
            if self.received > self.limit {
                return Poll::Ready(Some(Err(too_large)));
            }
            return Poll::Ready(Some(Ok(chunk)));
        }

        let timer = self.timer.get_or_insert_with(|| PeerTimer::new(&self.rule));
        let received = self.received as u64;
        ready!(timer.poll_late(cx, || Some(received)));
        Poll::Ready(Some(Err(BodyError::TooSlow)))
    }

    /// Returns whether the server has been shutting down for too long to read on.
    ///
    /// The timer wakes a waiting reader several times a second, so the reader notices the shutdown.
    fn is_cut_short(&mut self) -> bool {
        // Checking the token takes a lock, so a body that arrives with its head skips it.
        if self.timer.is_none() || !self.rule.shutdown.is_cancelled() {
            return false;
        }
        let since = *self.shutdown_since.get_or_insert_with(Instant::now);
        since.elapsed() >= SHUTDOWN_BODY_TIMEOUT
    }
}

impl Stream for BodyReader {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.poll_chunk(cx);
        if let Poll::Ready(Some(Err(_))) = &polled {
            self.incoming = None;
        }
        polled
    }
}
