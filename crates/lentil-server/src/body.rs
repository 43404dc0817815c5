//! Bodies between hyper and the runtime, with what a sender may take.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use lentil_runtime::http::{Body, BodyError};
use lentil_runtime::memory::Account;
use tokio::time::{Instant, Sleep};

use crate::ServerOptions;
use crate::head::Answering;

/// A request's body, and the client that sends it.
pub(crate) struct FromClient {
    pub(crate) incoming: Incoming,
    pub(crate) account: Account,
}

/// A request's body as the runtime reads it.
pub(crate) fn from_client(body: FromClient, options: &ServerOptions) -> Body {
    let FromClient { incoming, account } = body;
    if incoming.is_end_stream() {
        return Body::empty();
    }
    let pace = Pace {
        grace_time: options.body_grace_time,
        idle_time: options.body_idle_time,
        min_rate: options.body_min_rate as f64,
    };
    let limit = options.max_body_bytes;
    Body::from_stream(Reader {
        incoming: Some(incoming),
        began: Instant::now(),
        received: 0,
        limit,
        pace,
        late: None,
        account: account.clone(),
        pause: None,
    })
    .charged_to(account)
}

/// The chunks of a request's body; one that cannot be had is the last.
struct Reader {
    incoming: Option<Incoming>,
    began: Instant,
    received: usize,
    limit: usize,
    pace: Pace,
    /// Ends when the next chunk is late, while it is waited for.
    late: Option<Pin<Box<Sleep>>>,
    account: Account,
    /// Ends when the client may be read from, while it holds more than its share.
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// How slow a body may come.
struct Pace {
    grace_time: Duration,
    idle_time: Duration,
    /// In bytes a second.
    min_rate: f64,
}

impl Reader {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let too_large = BodyError::TooLarge { limit: self.limit };
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        if incoming.size_hint().lower() > (self.limit - self.received) as u64 {
            return Poll::Ready(Some(Err(too_large)));
        }
        if self.pause.is_none() && !self.account.is_readable() {
            let account = self.account.clone();
            self.pause = Some(Box::pin(async move { account.readable().await }));
            // The sender is not late while nobody reads.
            self.late = None;
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
            (self.late, self.pause) = (None, None);
            // Trailers say nothing to an action.
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            self.received += chunk.len();
            return Poll::Ready(Some(if self.received > self.limit {
                Err(too_large)
            } else {
                Ok(chunk)
            }));
        }
        let deadline = self.pace.deadline(self.began, self.received);
        let late = self
            .late
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        late.as_mut()
            .poll(cx)
            .map(|()| Some(Err(BodyError::TooSlow)))
    }
}

impl Pace {
    /// The next part must come soon, and the whole not too slowly.
    fn deadline(&self, began: Instant, received: usize) -> Instant {
        let earned = Duration::from_secs_f64(received as f64 / self.min_rate);
        (Instant::now() + self.idle_time).min(began + self.grace_time + earned)
    }
}

impl Stream for Reader {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.poll_chunk(cx);
        if let Poll::Ready(Some(Err(_))) = &polled {
            self.incoming = None;
        }
        polled
    }
}

/// What a response may take without being counted beside its connection.
const SMALL_BYTES: usize = 4 << 10;

/// A response's body as hyper sends it.
pub(crate) struct ToClient {
    whole: Option<Bytes>,
    chunks: Option<Chunks>,
    /// Dropped when all of it is sent.
    _answering: Option<Answering>,
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

impl ToClient {
    /// The body of an answer; `answering` is that of a connection with one request at a time.
    pub(crate) fn new(mut body: Body, answering: Option<Answering>, account: &Account) -> ToClient {
        if !body.is_stream() {
            let charged = |whole: Bytes| match whole.len() {
                ..=SMALL_BYTES => whole,
                _ => account.charge_outgoing(whole),
            };
            return ToClient {
                whole: body.take_whole().map(charged),
                chunks: None,
                _answering: answering,
            };
        }
        let chunks = futures_util::stream::unfold(body, |mut body| async {
            Some((body.chunk().await?, body))
        });
        ToClient {
            whole: None,
            chunks: Some(Box::pin(chunks)),
            _answering: answering,
        }
    }
}

impl http_body::Body for ToClient {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(whole) = self.whole.take() {
            return Poll::Ready(Some(Ok(Frame::data(whole))));
        }
        let Some(chunks) = &mut self.chunks else {
            return Poll::Ready(None);
        };
        chunks
            .as_mut()
            .poll_next(cx)
            .map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none() && self.chunks.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.whole, &self.chunks) {
            (_, Some(_)) => SizeHint::default(),
            (whole, None) => {
                SizeHint::with_exact(whole.as_ref().map_or(0, |whole| whole.len() as u64))
            }
        }
    }
}
