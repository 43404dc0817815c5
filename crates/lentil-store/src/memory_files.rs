use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;

use crate::file_store::{ContentHash, FileChunks, FileError, FileStore, FileWriter};

/// A file store in memory, for tests. Clones share the blobs.
#[derive(Clone, Default)]
pub struct MemoryFiles(Arc<Mutex<BTreeMap<ContentHash, Bytes>>>);

const CHUNK_SIZE: usize = 64 << 10;

impl MemoryFiles {
    /// Makes an empty store.
    pub fn new() -> MemoryFiles {
        MemoryFiles::default()
    }

    /// Returns the hashes of all blobs.
    pub fn hashes(&self) -> Vec<ContentHash> {
        self.0.lock().keys().copied().collect()
    }

    /// Adds a blob that no document refers to, as a crash may leave one.
    pub fn insert_orphan(&self, hash: ContentHash) {
        self.0.lock().insert(hash, Bytes::from_static(b"orphan"));
    }
}

#[async_trait]
impl FileStore for MemoryFiles {
    async fn create(&self) -> Result<Box<dyn FileWriter>, FileError> {
        Ok(Box::new(MemoryWriter {
            files: self.clone(),
            written: BytesMut::new(),
        }))
    }

    async fn read(
        &self,
        hash: &ContentHash,
        range: Range<u64>,
    ) -> Result<Option<FileChunks>, FileError> {
        let Some(content) = self.0.lock().get(hash).cloned() else {
            return Ok(None);
        };
        if range.end > content.len() as u64 && !range.is_empty() {
            return Err(FileError::new(
                format!("reading {hash}"),
                format!("the range extends past the end at {}", content.len()),
            ));
        }
        // `slice` would panic at an empty range behind the end.
        let rest = if range.is_empty() {
            Bytes::new()
        } else {
            content.slice(range.start as usize..range.end as usize)
        };
        let chunks = stream::unfold(rest, |mut rest| async move {
            let chunk = rest.split_to(CHUNK_SIZE.min(rest.len()));
            (!chunk.is_empty()).then_some((Ok(chunk), rest))
        });
        Ok(Some(chunks.boxed()))
    }

    async fn remove(&self, hash: &ContentHash) -> Result<(), FileError> {
        self.0.lock().remove(hash);
        Ok(())
    }

    fn list(&self) -> BoxStream<'_, Result<ContentHash, FileError>> {
        stream::iter(self.hashes().into_iter().map(Ok)).boxed()
    }
}

struct MemoryWriter {
    files: MemoryFiles,
    written: BytesMut,
}

#[async_trait]
impl FileWriter for MemoryWriter {
    async fn write(&mut self, chunk: Bytes) -> Result<(), FileError> {
        self.written.extend_from_slice(&chunk);
        Ok(())
    }

    async fn finish(self: Box<Self>, hash: &ContentHash) -> Result<(), FileError> {
        self.files.0.lock().insert(*hash, self.written.freeze());
        Ok(())
    }
}
