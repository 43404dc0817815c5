use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Frame, SizeHint};
use lentil_runtime::http::{Body, BodyError};
use lentil_runtime::memory::Account;

use super::state::InFlightRequest;
use super::streams::StreamState;

/// The most bytes of a response that HTTP/2 receives at a time. Slices show how far the client has
/// read.
const SLICE_BYTES: usize = 16 << 10;

/// Bytes of a response that the charge for its connection covers.
const SMALL_BYTES: usize = 4 << 10;

/// The body of a response as hyper sends it.
pub(super) struct ResponseBody {
    whole: Option<Bytes>,
    chunks: Option<Chunks>,
    observer: Observer,
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// The connection state that follows the sending of a body.
enum Observer {
    /// The request of an HTTP/1 connection. Dropping it ends the request.
    Request { _in_flight: InFlightRequest },
    /// One of the streams of an HTTP/2 connection.
    Stream(Arc<StreamState>),
}

impl ResponseBody {
    /// Returns the body of a response over HTTP/1.
    pub(super) fn of_request(
        body: Body,
        in_flight: InFlightRequest,
        account: &Account,
    ) -> ResponseBody {
        let observer = Observer::Request {
            _in_flight: in_flight,
        };
        ResponseBody::new(body, observer, account)
    }

    /// Returns the body of a response over HTTP/2.
    pub(super) fn of_stream(
        body: Body,
        stream: Arc<StreamState>,
        account: &Account,
    ) -> ResponseBody {
        ResponseBody::new(body, Observer::Stream(stream), account)
    }

    fn new(mut body: Body, observer: Observer, account: &Account) -> ResponseBody {
        if body.is_stream() {
            let chunks = futures_util::stream::unfold(body, |mut body| async {
                Some((body.chunk().await?, body))
            });
            return ResponseBody {
                whole: None,
                chunks: Some(Box::pin(chunks)),
                observer,
            };
        }
        let whole = match body.take_whole() {
            Some(whole) if whole.len() > SMALL_BYTES => Some(account.charge_outgoing(whole)),
            whole => whole,
        };
        ResponseBody {
            whole,
            chunks: None,
            observer,
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

    /// Returns the part of a chunk to send now, and keeps the rest. HTTP/2 receives one slice each
    /// time it has room.
    fn next_slice(&mut self, mut chunk: Bytes) -> Bytes {
        let Observer::Stream(stream) = &self.observer else {
            return chunk;
        };
        if chunk.len() > SLICE_BYTES {
            self.whole = Some(chunk.split_off(SLICE_BYTES));
        }
        stream.sent(chunk.len());
        chunk
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Observer::Stream(stream) = &self.observer {
            stream.has_room();
        }
        self.poll_chunk(cx)
            .map_ok(|chunk| Frame::data(self.next_slice(chunk)))
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none() && self.chunks.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.whole, &self.chunks) {
            (_, Some(_)) => SizeHint::default(),
            (Some(whole), None) => SizeHint::with_exact(whole.len() as u64),
            (None, None) => SizeHint::with_exact(0),
        }
    }
}
