//! Bodies between hyper and the runtime, and how long a client may take over them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use lentil_runtime::http::{Body, BodyError};
use lentil_runtime::memory::Account;

use crate::connection::{InFlightRequest, StreamState};
use crate::progress::{PeerTimer, ProgressRule};

/// Bytes of a response that HTTP/2 takes at a time, so that it shows how far the client has come.
const SLICE_BYTES: usize = 16 << 10;

/// Bytes of a response that the charge for its connection covers.
const SMALL_BYTES: usize = 4 << 10;

/// A request's body, and the client that sends it.
pub(crate) struct FromClient {
    pub(crate) incoming: Incoming,
    pub(crate) account: Account,
}

/// A request's body of at most `limit` bytes, as the runtime reads it.
pub(crate) fn from_client(body: FromClient, rule: &Arc<ProgressRule>, limit: usize) -> Body {
    let FromClient { incoming, account } = body;
    if incoming.is_end_stream() {
        return Body::empty();
    }
    Body::from_stream(Reader {
        incoming: Some(incoming),
        received: 0,
        limit,
        rule: Arc::clone(rule),
        timer: None,
        account: account.clone(),
        pause: None,
    })
    .charged_to(account)
}

/// The chunks of a request's body, until the first error.
struct Reader {
    incoming: Option<Incoming>,
    received: usize,
    limit: usize,
    rule: Arc<ProgressRule>,
    /// Exists once the client was waited for.
    timer: Option<PeerTimer>,
    account: Account,
    /// Ends when the client may be read from, while it holds more than its share.
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
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
            // Trailers say nothing to an action, and an empty frame is not progress.
            let Some(chunk) = frame.into_data().ok().filter(|chunk| !chunk.is_empty()) else {
                continue;
            };
            self.pause = None;
            if let Some(timer) = &mut self.timer {
                timer.pause();
            }
            self.received += chunk.len();
            return Poll::Ready(Some(if self.received > self.limit {
                Err(too_large)
            } else {
                Ok(chunk)
            }));
        }
        let timer = self.timer.get_or_insert_with(|| PeerTimer::new(&self.rule));
        let received = self.received as u64;
        ready!(timer.poll_late(cx, || Some(received)));
        Poll::Ready(Some(Err(BodyError::TooSlow)))
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

/// A response's body as hyper sends it.
pub(crate) struct ToClient {
    whole: Option<Bytes>,
    chunks: Option<Chunks>,
    recipient: Recipient,
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// The receiver of a response's sending progress.
enum Recipient {
    /// A connection with one request at a time, which ends when this is dropped.
    Request { _in_flight: InFlightRequest },
    /// One of several streams of a connection.
    Stream(Arc<StreamState>),
}

impl ToClient {
    /// The body of a response over HTTP/1.
    pub(crate) fn of_request(
        body: Body,
        in_flight: InFlightRequest,
        account: &Account,
    ) -> ToClient {
        let recipient = Recipient::Request {
            _in_flight: in_flight,
        };
        ToClient::new(body, recipient, account)
    }

    /// The body of a response over HTTP/2.
    pub(crate) fn of_stream(body: Body, stream: Arc<StreamState>, account: &Account) -> ToClient {
        ToClient::new(body, Recipient::Stream(stream), account)
    }

    fn new(mut body: Body, recipient: Recipient, account: &Account) -> ToClient {
        if !body.is_stream() {
            let charged = |whole: Bytes| match whole.len() {
                ..=SMALL_BYTES => whole,
                _ => account.charge_outgoing(whole),
            };
            return ToClient {
                whole: body.take_whole().map(charged),
                chunks: None,
                recipient,
            };
        }
        let chunks = futures_util::stream::unfold(body, |mut body| async {
            Some((body.chunk().await?, body))
        });
        ToClient {
            whole: None,
            chunks: Some(Box::pin(chunks)),
            recipient,
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(whole) = self.whole.take() {
            return Poll::Ready(Some(Ok(whole)));
        }
        match &mut self.chunks {
            Some(chunks) => chunks.as_mut().poll_next(cx),
            None => Poll::Ready(None),
        }
    }

    /// Gives HTTP/2 a slice, and keeps the rest until the client has room for it.
    fn slice(&mut self, mut chunk: Bytes) -> Bytes {
        let Recipient::Stream(stream) = &self.recipient else {
            return chunk;
        };
        if chunk.len() > SLICE_BYTES {
            self.whole = Some(chunk.split_off(SLICE_BYTES));
        }
        stream.gave(chunk.len());
        chunk
    }
}

impl http_body::Body for ToClient {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Recipient::Stream(stream) = &self.recipient {
            stream.asked();
        }
        let polled = self.poll_chunk(cx);
        polled.map(|chunk| chunk.map(|chunk| chunk.map(|chunk| Frame::data(self.slice(chunk)))))
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
