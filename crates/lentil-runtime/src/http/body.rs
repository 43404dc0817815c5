use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;

use crate::Code;
use crate::memory::{Account, Charge, OverBudget};

/// The body of a request or a response: all of it, or chunks as they come.
#[derive(Default)]
pub struct Body {
    kind: Kind,
    /// The client that sends it.
    account: Option<Account>,
}

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
    /// Its sender may not make the server hold so much: send less at a time.
    #[error("the body cannot be held: {0}")]
    OverBudget(#[from] OverBudget),
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
            BodyError::TooLarge { .. } | BodyError::OverBudget(_) => Code::PayloadTooLarge,
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
        Body {
            kind: Kind::Chunks(Mutex::new(Box::pin(chunks))),
            account: None,
        }
    }

    /// Charges this client for what is held of the body.
    #[must_use]
    pub fn charged_to(self, account: Account) -> Body {
        Body {
            account: Some(account),
            ..self
        }
    }

    /// The client that sends the body.
    pub(crate) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// The next chunk; `None` at the end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        match &mut self.kind {
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
        let mut whole = Growing::new(self.account.clone());
        whole.push(&first)?;
        whole.push(&second)?;
        drop((first, second));
        while let Some(chunk) = self.chunk().await.transpose()? {
            whole.push(&chunk)?;
        }
        Ok(whole.finish())
    }

    /// All of it, if it is there without waiting.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        if !matches!(self.kind, Kind::Whole(_) | Kind::Empty) {
            return None;
        }
        match std::mem::take(&mut self.kind) {
            Kind::Whole(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether the chunks are still to come.
    pub fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Chunks(_))
    }
}

/// A body that is being put together, charged to its sender as it grows.
struct Growing {
    bytes: Vec<u8>,
    account: Option<Account>,
    charge: Charge,
}

impl Growing {
    fn new(account: Option<Account>) -> Growing {
        let charge = account.as_ref().map(|account| account.charge(0));
        Growing {
            bytes: Vec::new(),
            account,
            charge: charge.unwrap_or_default(),
        }
    }

    fn push(&mut self, chunk: &[u8]) -> Result<(), OverBudget> {
        let (before, needed) = (self.bytes.capacity(), self.bytes.len() + chunk.len());
        if needed > before {
            let goal = needed.max(2 * before);
            if let Some(account) = &self.account {
                account.check(goal)?;
            }
            // Both are held while the bytes move.
            self.charge.set(before + goal);
            self.bytes.reserve_exact(goal - self.bytes.len());
            self.charge.set(self.bytes.capacity());
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    fn finish(self) -> Bytes {
        self.charge.attach(self.bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
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
                Body {
                    kind: Kind::Whole(whole.into()),
                    account: None,
                }
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
