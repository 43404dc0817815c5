use std::fmt;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;

use crate::Code;

/// The body of a request or a response: all of it, or chunks as they come.
#[derive(Default)]
pub struct Body(Kind);

/// The mutex is never locked: it lets a handler keep `&Request` while it waits for something else.
type Chunks = Mutex<Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>>;

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Whole(Bytes),
    Chunks(Chunks),
}

/// Why the rest of a body does not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It is longer than the server takes: send less.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It came too slowly: send it again, faster.
    #[error("the body came too slowly")]
    TooSlow,
    /// It was malformed, or its sender hung up.
    #[error("the body is incomplete: {0}")]
    Incomplete(String),
}

impl BodyError {
    pub(crate) fn code(&self) -> Code {
        match self {
            BodyError::TooLarge { .. } => Code::PayloadTooLarge,
            BodyError::TooSlow => Code::RequestTimeout,
            BodyError::Incomplete(_) => Code::BadRequest,
        }
    }
}

impl Body {
    /// No body.
    pub fn empty() -> Body {
        Body::default()
    }

    /// A body whose chunks are still to come.
    pub fn from_stream(
        chunks: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
    ) -> Body {
        Body(Kind::Chunks(Mutex::new(Box::pin(chunks))))
    }

    /// The next chunk; `None` at the end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        match &mut self.0 {
            Kind::Empty => None,
            Kind::Whole(_) => self.take_whole().map(Ok),
            Kind::Chunks(chunks) => chunks.get_mut().next().await,
        }
    }

    /// All of it at once.
    ///
    /// # Errors
    /// When the rest does not come.
    pub async fn bytes(mut self) -> Result<Bytes, BodyError> {
        let Some(first) = self.chunk().await.transpose()? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.chunk().await.transpose()? else {
            return Ok(first);
        };
        let mut whole = BytesMut::from(&first[..]);
        whole.extend_from_slice(&second);
        while let Some(chunk) = self.chunk().await.transpose()? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// All of it, if it is there without waiting.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        if !matches!(self.0, Kind::Whole(_) | Kind::Empty) {
            return None;
        }
        match std::mem::take(&mut self.0) {
            Kind::Whole(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether the chunks are still to come.
    pub fn is_stream(&self) -> bool {
        matches!(self.0, Kind::Chunks(_))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Empty => f.write_str("Body(empty)"),
            Kind::Whole(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Kind::Chunks(_) => f.write_str("Body(chunks)"),
        }
    }
}

macro_rules! from_bytes {
    ($($from:ty),*) => {
        $(impl From<$from> for Body {
            fn from(whole: $from) -> Body {
                Body(Kind::Whole(whole.into()))
            }
        })*
    };
}

from_bytes!(Bytes, Vec<u8>, String, &'static str, &'static [u8]);

impl From<()> for Body {
    fn from((): ()) -> Body {
        Body::empty()
    }
}
