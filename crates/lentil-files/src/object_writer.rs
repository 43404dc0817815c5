use std::mem;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use lentil_store::{ContentHash, FileError, FileWriter};
use object_store::{ObjectStoreExt, PutPayloadMut};

use crate::incoming::Incoming;
use crate::multipart::{Multipart, PART, empty_part};
use crate::object::Place;

/// A content that is being sent: put whole under its name when it is small, else sent in parts to a temporary one.
pub(crate) struct Writer {
    place: Arc<Place>,
    size: u64,
    sent: Sent,
}

enum Sent {
    /// It is at most a part so far.
    Nothing(PutPayloadMut),
    Parts(Multipart, Incoming),
    /// Some of it did not arrive.
    GivenUp,
}

impl Writer {
    pub(crate) fn new(place: Arc<Place>) -> Writer {
        Writer {
            place,
            size: 0,
            sent: Sent::Nothing(empty_part()),
        }
    }

    /// Takes what is sent so far, in parts. Unless it is put back, it is given up.
    async fn take_parts(&mut self) -> Result<(Multipart, Incoming), FileError> {
        match mem::replace(&mut self.sent, Sent::GivenUp) {
            Sent::Nothing(gathered) => {
                let incoming = Incoming::new(&self.place)?;
                Ok((
                    Multipart::start(&self.place, &incoming.path, gathered).await?,
                    incoming,
                ))
            }
            Sent::Parts(parts, incoming) => Ok((parts, incoming)),
            Sent::GivenUp => Err(given_up()),
        }
    }
}

fn given_up() -> FileError {
    FileError::new("writing a file", "an earlier write failed")
}

#[async_trait]
impl FileWriter for Writer {
    async fn write(&mut self, chunk: Bytes) -> Result<(), FileError> {
        self.size += chunk.len() as u64;
        if let Sent::Nothing(gathered) = &mut self.sent
            && self.size <= PART as u64
        {
            gathered.extend_from_slice(&chunk);
            return Ok(());
        }
        let (mut parts, incoming) = self.take_parts().await?;
        parts.write(&chunk).await?;
        self.sent = Sent::Parts(parts, incoming);
        Ok(())
    }

    async fn finish(self: Box<Self>, hash: &ContentHash) -> Result<(), FileError> {
        let path = self.place.path(hash);
        match self.sent {
            Sent::Nothing(gathered) => {
                let put = self.place.objects.put(&path, gathered.freeze()).await;
                put.map(drop)
                    .map_err(|error| self.place.error("writing a file", &error))
            }
            Sent::Parts(parts, incoming) => {
                parts.complete().await?;
                incoming.copy(self.size, &path).await
            }
            Sent::GivenUp => Err(given_up()),
        }
    }
}
