use std::mem;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use lentil_store::{ContentHash, FileError, FileWriter};
use object_store::{ObjectStoreExt, PutPayloadMut};

use crate::incoming::Incoming;
use crate::multipart::{Multipart, PART_SIZE, empty_part};
use crate::object::Place;

/// A content being sent. One of at most a part is put under its final name. A larger one is sent in
/// parts to a temporary name, then copied.
pub(crate) struct Writer {
    place: Arc<Place>,
    size: u64,
    state: State,
}

enum State {
    /// At most one part so far; nothing is sent yet.
    Buffered(PutPayloadMut),
    Parts(Multipart, Incoming),
    /// A request failed.
    Failed,
}

impl Writer {
    pub(crate) fn new(place: Arc<Place>) -> Writer {
        Writer {
            place,
            size: 0,
            state: State::Buffered(empty_part()),
        }
    }

    /// Takes the multipart upload, and starts it if necessary. The writer has failed unless the
    /// caller puts the upload back.
    async fn take_parts(&mut self) -> Result<(Multipart, Incoming), FileError> {
        match mem::replace(&mut self.state, State::Failed) {
            State::Buffered(buffered) => {
                let incoming = Incoming::new(&self.place)?;
                let parts = Multipart::start(&self.place, &incoming.path, buffered).await?;
                Ok((parts, incoming))
            }
            State::Parts(parts, incoming) => Ok((parts, incoming)),
            State::Failed => Err(failed_before()),
        }
    }
}

fn failed_before() -> FileError {
    FileError::new("writing a file", "an earlier write failed")
}

#[async_trait]
impl FileWriter for Writer {
    async fn write(&mut self, chunk: Bytes) -> Result<(), FileError> {
        self.size += chunk.len() as u64;
        if let State::Buffered(buffered) = &mut self.state
            && self.size <= PART_SIZE as u64
        {
            buffered.extend_from_slice(&chunk);
            return Ok(());
        }
        let (mut parts, incoming) = self.take_parts().await?;
        parts.write(&chunk).await?;
        self.state = State::Parts(parts, incoming);
        Ok(())
    }

    async fn finish(self: Box<Self>, hash: &ContentHash) -> Result<(), FileError> {
        let path = self.place.path(hash);
        match self.state {
            State::Buffered(buffered) => {
                let put = self.place.objects.put(&path, buffered.freeze()).await;
                put.map(drop)
                    .map_err(|error| self.place.error("writing a file", &error))
            }
            State::Parts(parts, incoming) => {
                parts.complete().await?;
                incoming.copy(self.size, &path).await
            }
            State::Failed => Err(failed_before()),
        }
    }
}
