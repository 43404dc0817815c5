//! Bodies between hyper and the runtime, with what a sender may take.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lentil_runtime::http::{Body, BodyError};
use tokio::time::Instant;

use crate::ServerOptions;
use crate::head::Answering;

/// A request's body as the runtime reads it.
pub(crate) fn from_client(incoming: Incoming, options: &ServerOptions) -> Body {
    if incoming.is_end_stream() {
        return Body::empty();
    }
    let reader = Reader { incoming, began: Instant::now(), received: 0, options: options.clone() };
    Body::from_stream(futures_util::stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        match reader.chunk().await? {
            Ok(chunk) => Some((Ok(chunk), Some(reader))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

struct Reader {
    incoming: Incoming,
    began: Instant,
    received: usize,
    options: ServerOptions,
}

impl Reader {
    async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        let limit = self.options.max_body_bytes;
        if self.incoming.size_hint().lower() > (limit - self.received) as u64 {
            return Some(Err(BodyError::TooLarge { limit }));
        }
        loop {
            let frame = match tokio::time::timeout_at(self.deadline(), self.incoming.frame()).await {
                Ok(frame) => frame?,
                Err(_) => return Some(Err(BodyError::TooSlow)),
            };
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => return Some(Err(BodyError::Incomplete(error.to_string()))),
            };
            // Trailers say nothing to an action.
            let Ok(chunk) = frame.into_data() else { continue };
            self.received += chunk.len();
            return Some(if self.received > limit { Err(BodyError::TooLarge { limit }) } else { Ok(chunk) });
        }
    }

    /// The next part must come soon, and the whole not too slowly.
    fn deadline(&self) -> Instant {
        let next = Instant::now() + self.options.body_idle_time;
        let earned = std::time::Duration::from_secs_f64(self.received as f64 / self.options.body_min_rate as f64);
        next.min(self.began + self.options.body_grace_time + earned)
    }
}

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
    pub(crate) fn new(mut body: Body, answering: Option<Answering>) -> ToClient {
        if !body.is_stream() {
            return ToClient { whole: body.take_whole(), chunks: None, _answering: answering };
        }
        let chunks = futures_util::stream::unfold(body, |mut body| async { Some((body.chunk().await?, body)) });
        ToClient { whole: None, chunks: Some(Box::pin(chunks)), _answering: answering }
    }
}

impl http_body::Body for ToClient {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(whole) = self.whole.take() {
            return Poll::Ready(Some(Ok(Frame::data(whole))));
        }
        let Some(chunks) = &mut self.chunks else { return Poll::Ready(None) };
        chunks.as_mut().poll_next(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none() && self.chunks.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.whole, &self.chunks) {
            (_, Some(_)) => SizeHint::default(),
            (whole, None) => SizeHint::with_exact(whole.as_ref().map_or(0, |whole| whole.len() as u64)),
        }
    }
}
