use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

/// An in-memory object store in which one request fails, and so does a copy over a limit. Deleting
/// and listing never fail.
#[derive(Debug)]
pub(crate) struct Failing {
    objects: InMemory,
    counts: Arc<Counts>,
    copies: u64,
}

#[derive(Debug, Default)]
struct Counts {
    before: AtomicUsize,
    /// Uploads that were neither completed nor aborted.
    unfinished: AtomicUsize,
    /// Parts being sent.
    sending: AtomicUsize,
    /// The maximum of `sending`.
    at_once: AtomicUsize,
}

impl Failing {
    /// Fails the request after this many.
    pub(crate) fn at(before: usize) -> Failing {
        let counts = Counts {
            before: AtomicUsize::new(before),
            ..Counts::default()
        };
        Failing {
            objects: InMemory::new(),
            counts: Arc::new(counts),
            copies: u64::MAX,
        }
    }

    /// Fails copies of objects over this many bytes.
    pub(crate) fn copying(copies: u64) -> Failing {
        Failing {
            copies,
            ..Failing::at(usize::MAX)
        }
    }

    /// Returns the maximum number of parts that were sent at once.
    pub(crate) fn at_once(&self) -> usize {
        self.counts.at_once.load(Ordering::SeqCst)
    }

    pub(crate) fn unfinished(&self) -> usize {
        self.counts.unfinished.load(Ordering::SeqCst)
    }
}

impl Counts {
    fn request(&self) -> Result<()> {
        // The counter wraps after the request that fails, so no other fails.
        match self.before.fetch_sub(1, Ordering::SeqCst) {
            0 => Err(Error::Generic {
                store: "failing",
                source: "it fails".into(),
            }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.counts.request()?;
        self.objects.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.counts.request()?;
        let upload = self.objects.put_multipart_opts(location, options).await?;
        self.counts.unfinished.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Upload {
            upload,
            counts: Arc::clone(&self.counts),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.counts.request()?;
        self.objects.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.counts.request()?;
        if self.objects.head(from).await?.size > self.copies {
            return Err(Error::Generic {
                store: "failing",
                source: "too large to be copied".into(),
            });
        }
        self.objects.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct Upload {
    upload: Box<dyn MultipartUpload>,
    counts: Arc<Counts>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let sent = self.upload.put_part(part);
        let counts = Arc::clone(&self.counts);
        async move {
            let sending = counts.sending.fetch_add(1, Ordering::SeqCst) + 1;
            counts.at_once.fetch_max(sending, Ordering::SeqCst);
            // A caller that does not wait for this part overtakes it here.
            tokio::task::yield_now().await;
            counts.sending.fetch_sub(1, Ordering::SeqCst);
            counts.request()?;
            sent.await
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.counts.request()?;
        let completed = self.upload.complete().await?;
        self.counts.unfinished.fetch_sub(1, Ordering::SeqCst);
        Ok(completed)
    }

    async fn abort(&mut self) -> Result<()> {
        self.counts.unfinished.fetch_sub(1, Ordering::SeqCst);
        self.upload.abort().await
    }
}
