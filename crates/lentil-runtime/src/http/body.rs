use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use lentil_call::BodyError;
use parking_lot::Mutex;

use crate::memory::{Account, Segments};

/// The body of a request or a response: bytes, or a stream of chunks.
#[derive(Default)]
pub struct Body {
    kind: Kind,
    /// The memory account of the client that sends it.
    account: Option<Account>,
}

/// A stream of chunks. The mutex is never locked: it makes a `&Request` `Send`, so that an action
/// can hold one across an await.
type Chunks = Mutex<Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>>;

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Whole(Bytes),
    Chunks(Chunks),
}

impl Body {
    /// Returns an empty body.
    pub fn empty() -> Body {
        Body::default()
    }

    /// Returns a body that is read from a stream.
    pub fn from_stream(
        chunks: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
    ) -> Body {
        Body {
            kind: Kind::Chunks(Mutex::new(Box::pin(chunks))),
            account: None,
        }
    }

    /// Charges the bytes of the body that are in memory to this client.
    #[must_use]
    pub fn charged_to(self, account: Account) -> Body {
        Body {
            account: Some(account),
            ..self
        }
    }

    /// Returns the memory account of the client that sends the body.
    pub(crate) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Reads the next chunk; `None` at the end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        match &mut self.kind {
            Kind::Empty => None,
            Kind::Whole(_) => self.take_whole().map(Ok),
            Kind::Chunks(chunks) => chunks.get_mut().next().await,
        }
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// When the rest of the body does not arrive.
    pub async fn bytes(mut self) -> Result<Bytes, BodyError> {
        let Some(first) = self.chunk().await.transpose()? else {
            return Ok(Bytes::new());
        };
        // Most bodies arrive in one chunk, which needs no copy.
        let Some(second) = self.chunk().await.transpose()? else {
            return Ok(first);
        };
        let mut whole = Segments::new(self.account.clone());
        whole.push(&first)?;
        whole.push(&second)?;
        drop((first, second));
        while let Some(chunk) = self.chunk().await.transpose()? {
            whole.push(&chunk)?;
        }
        let (bytes, charge) = whole.finish();
        Ok(charge.attach(bytes))
    }

    /// Takes the whole body if it is in memory; `None` if it is a stream.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        match std::mem::take(&mut self.kind) {
            Kind::Whole(bytes) => Some(bytes),
            other => {
                self.kind = other;
                None
            }
        }
    }

    /// Returns whether the body is read from a stream.
    pub fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Chunks(_))
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

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::memory::{Memory, MemoryLimits};

    fn body(chunks: Vec<Bytes>, account: &Account) -> Body {
        Body::from_stream(stream::iter(chunks.into_iter().map(Ok))).charged_to(account.clone())
    }

    #[tokio::test]
    async fn a_body_is_charged_until_it_is_dropped() {
        let account = Memory::default().client();
        for lengths in [vec![1, 2], vec![5_000, 1, 70_000], vec![30_000; 20]] {
            let chunks: Vec<Bytes> = lengths
                .iter()
                .zip(b'a'..)
                .map(|(length, byte)| vec![byte; *length].into())
                .collect();
            let whole = body(chunks.clone(), &account).bytes().await.unwrap();
            assert_eq!(whole, chunks.concat());
            assert!((whole.len()..whole.len() + 4_096).contains(&account.held()));
            drop(whole);
            assert_eq!(account.held(), 0);
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_of_its_client_is_rejected_and_freed() {
        let limits = MemoryLimits {
            process: 1 << 30,
            client: 1 << 20,
        };
        let account = Memory::new(limits).client();
        let chunks = vec![Bytes::from(vec![0; 100_000]); 20];
        let refused = body(chunks, &account).bytes().await.unwrap_err();
        assert_eq!(refused.code(), lentil_call::Code::PayloadTooLarge);
        assert_eq!(account.held(), 0);
    }
}
