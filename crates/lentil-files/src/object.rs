//! Blobs in an object store, such as an S3 bucket. Each object is named by the SHA-256 of its
//! bytes.
//!
//! ```text
//! <prefix>/9f86d081…0f00a08   a blob: put in one request, or copied there within the store
//! <prefix>/owner              the name of the database that owns these files
//! <prefix>/incoming/5c1e…     a complete blob over 8 MiB, before it is copied to its name
//! ```
//!
//! A partial blob is never visible. It is a multipart upload, which becomes an object in one step.
//! A crash leaves such uploads, and objects under `incoming/`. A start removes those objects when
//! they are a day old, because no server can still be writing them. Only the object store can find
//! the unfinished uploads: give the bucket a lifecycle rule (`AbortIncompleteMultipartUpload` on
//! S3).

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use lentil_store::{ContentHash, FileChunks, FileError, FileStore, FileWriter};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use crate::bucket::Bucket;
use crate::object_writer::ObjectWriter;

/// The largest object that S3 copies in one request, in bytes.
const COPY_LIMIT: u64 = 5 << 30;
/// The age from which no server can still be writing an incoming object.
const INCOMING_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// Files in an object store, under a prefix that only they use. A clone is a handle to the same
/// files.
#[derive(Clone)]
pub struct ObjectFiles(pub(crate) Arc<Bucket>);

impl ObjectFiles {
    /// Returns the files under this prefix. Error messages call the prefix `name`, such as
    /// `s3://bucket/prefix`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        prefix: Path,
        name: impl Into<String>,
    ) -> ObjectFiles {
        ObjectFiles(Arc::new(Bucket {
            objects,
            prefix,
            name: name.into(),
            copy_limit: COPY_LIMIT,
        }))
    }

    /// Checks that the store can be reached and listed.
    ///
    /// # Errors
    /// The store's own error.
    pub async fn check(&self) -> Result<(), object_store::Error> {
        let incoming = self.0.incoming();
        // A listing fails if the bucket, the region or the credentials are wrong.
        self.0.objects.list(Some(&incoming)).try_next().await?;
        Ok(())
    }

    /// Returns the owner that [`ObjectFiles::claim`] recorded.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn owner(&self) -> Result<Option<String>, FileError> {
        let read = async {
            let found = self.0.objects.get(&self.0.owner_path()).await?;
            found.bytes().await
        };
        match read.await {
            Ok(owner) => Ok(Some(String::from_utf8_lossy(&owner).into_owned())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.0.error("reading the owner of the files", &error)),
        }
    }

    /// Records the owner. A database refuses a prefix that another one owns, because its sweep
    /// would delete the other's files.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn claim(&self, owner: &str) -> Result<(), FileError> {
        let path = self.0.owner_path();
        match self.0.objects.put(&path, owner.to_owned().into()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.0.error("writing the owner of the files", &error)),
        }
    }

    /// Removes incoming objects older than a day, which a crash left. Returns their number.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn sweep_incoming(&self) -> Result<usize, FileError> {
        self.sweep_older_than(SystemTime::now() - INCOMING_RETENTION)
            .await
    }

    async fn sweep_older_than(&self, time: SystemTime) -> Result<usize, FileError> {
        let bucket = &self.0;
        let mut removed = 0;
        let mut incoming = bucket.objects.list(Some(&bucket.incoming()));
        while let Some(object) = incoming
            .try_next()
            .await
            .map_err(|error| bucket.error("listing files", &error))?
        {
            if SystemTime::from(object.last_modified) < time {
                bucket.delete(&object.location).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

#[async_trait]
impl FileStore for ObjectFiles {
    async fn create(&self) -> Result<Box<dyn FileWriter>, FileError> {
        Ok(Box::new(ObjectWriter::new(Arc::clone(&self.0))))
    }

    async fn read(
        &self,
        hash: &ContentHash,
        range: Range<u64>,
    ) -> Result<Option<FileChunks>, FileError> {
        let bucket = Arc::clone(&self.0);
        let path = bucket.blob_path(hash);
        // HTTP has no empty range: an empty read only checks that the blob exists.
        let is_empty = range.is_empty();
        let options = GetOptions {
            range: (!is_empty).then(|| GetRange::Bounded(range.clone())),
            head: is_empty,
            ..GetOptions::default()
        };
        let found = match bucket.objects.get_opts(&path, options).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(bucket.error("opening a file", &error)),
        };
        if is_empty {
            return Ok(Some(stream::empty().boxed()));
        }
        if found.range != range {
            let reason = format!("{path} is shorter than its document says");
            return Err(FileError::new(
                format!("opening a file in {}", bucket.name),
                reason,
            ));
        }
        let chunks = found
            .into_stream()
            .map_err(move |error| bucket.error("reading a file", &error));
        Ok(Some(chunks.boxed()))
    }

    async fn remove(&self, hash: &ContentHash) -> Result<(), FileError> {
        self.0.delete(&self.0.blob_path(hash)).await
    }

    fn list(&self) -> BoxStream<'_, Result<ContentHash, FileError>> {
        let objects = self.0.objects.list(Some(&self.0.prefix));
        let hashes = objects.map_err(|error| self.0.error("listing files", &error));
        // Skip objects that are not named by a hash.
        hashes
            .try_filter_map(async |object| Ok(self.0.blob_hash(&object.location)))
            .boxed()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use lentil_store::conformance::files::{content, hash, listed, read, write};
    use object_store::memory::InMemory;

    use super::*;
    use crate::failing::Failing;

    mod in_memory {
        use lentil_store::conformance::files::{TestFiles, suite};
        use object_store::memory::InMemory;

        use super::*;

        suite!(|| async {
            TestFiles::of(ObjectFiles::new(
                Arc::new(InMemory::new()),
                Path::from("a/prefix"),
                "memory",
            ))
        });
    }

    mod in_a_folder {
        use lentil_store::conformance::files::{TestFiles, suite};
        use object_store::local::LocalFileSystem;

        use super::*;

        suite!(|| async {
            let folder = tempfile::tempdir().unwrap();
            let objects = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
            TestFiles::keeping(
                ObjectFiles::new(Arc::new(objects), Path::from(""), "a folder"),
                folder,
            )
        });
    }

    /// Returns files in memory, and their object store.
    fn in_memory() -> (ObjectFiles, Arc<InMemory>) {
        let objects = Arc::new(InMemory::new());
        (
            ObjectFiles::new(
                Arc::clone(&objects) as Arc<dyn ObjectStore>,
                Path::from("p"),
                "memory",
            ),
            objects,
        )
    }

    /// Returns the names of all objects, after spawned tasks have run.
    async fn names(objects: &dyn ObjectStore) -> Vec<String> {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        objects
            .list(None)
            .map_ok(|object| object.location.to_string())
            .try_collect()
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_large_file_leaves_only_its_object() {
        let (files, objects) = in_memory();
        write(&files, 1, &content(1, 20 << 20), 1 << 20).await;
        assert_eq!(names(&*objects).await, [format!("p/{}", hash(1))]);
    }

    #[tokio::test]
    async fn a_file_over_the_copy_limit_is_sent_again() {
        let objects = Arc::new(Failing::copying(12 << 20));
        let bucket = ObjectFiles::new(
            Arc::clone(&objects) as Arc<dyn ObjectStore>,
            Path::from("p"),
            "memory",
        );
        let bucket = Arc::into_inner(bucket.0).unwrap();
        let files = ObjectFiles(Arc::new(Bucket {
            copy_limit: 12 << 20,
            ..bucket
        }));
        for length in [11 << 20, 12 << 20, (12 << 20) + 1, 30 << 20] {
            let content = content(1, length);
            write(&files, 1, &content, 1 << 20).await;
            assert!(
                read(&files, 1, 0..length as u64).await.unwrap() == content,
                "{length}"
            );
            assert_eq!(names(&*objects).await, [format!("p/{}", hash(1))]);
        }
        assert_eq!(
            objects.at_once(),
            1,
            "one part is sent while the next fills"
        );
    }

    #[tokio::test]
    async fn a_failed_request_acknowledges_nothing_and_leaves_nothing() {
        for length in [10, 20 << 20] {
            let content = content(1, length);
            let mut fails = 0;
            loop {
                let failing = Arc::new(Failing::at(fails));
                let files = ObjectFiles::new(
                    Arc::clone(&failing) as Arc<dyn ObjectStore>,
                    Path::from("p"),
                    "s3://b",
                );
                let Err(error) = try_write(&files, &content).await else {
                    break;
                };
                assert!(error.to_string().contains("in s3://b"), "{error}");
                assert_eq!(names(&*failing).await, [""; 0], "request {fails} failed");
                assert_eq!(
                    failing.unfinished(),
                    0,
                    "an unfinished upload remains after request {fails} failed"
                );
                fails += 1;
            }
            // One request for a small file; otherwise start, three parts, complete and copy.
            assert_eq!(fails, if length == 10 { 1 } else { 6 });
        }
    }

    /// Writes a blob. After an error it tries again, which must fail too.
    async fn try_write(files: &ObjectFiles, content: &Bytes) -> Result<(), FileError> {
        let mut writer = files.create().await.unwrap();
        for at in (0..content.len()).step_by(1 << 20) {
            let chunk = content.slice(at..content.len().min(at + (1 << 20)));
            let Err(error) = writer.write(chunk.clone()).await else {
                continue;
            };
            assert!(writer.write(chunk).await.is_err() && writer.finish(&hash(1)).await.is_err());
            return Err(error);
        }
        writer.finish(&hash(1)).await
    }

    #[tokio::test]
    async fn foreign_objects_are_not_listed() {
        let (files, objects) = in_memory();
        write(&files, 1, &content(1, 3), 3).await;
        let name = hash(2).to_string();
        for foreign in [
            "p/readme",
            &format!("p/sub/{name}"),
            &name,
            &format!("p/incoming/{name}"),
            &format!("p2/{name}"),
        ] {
            objects
                .put(&Path::from(foreign), "foreign".into())
                .await
                .unwrap();
        }
        assert_eq!(listed(&files).await, [hash(1)].into());
    }

    #[tokio::test]
    async fn the_owner_record_is_not_listed_as_a_file() {
        let (files, _) = in_memory();
        assert_eq!(files.owner().await.unwrap(), None);
        files.claim("a database").await.unwrap();
        assert_eq!(files.owner().await.unwrap().as_deref(), Some("a database"));
        assert!(listed(&files).await.is_empty());
    }

    #[tokio::test]
    async fn only_old_incoming_objects_are_swept() {
        let (files, objects) = in_memory();
        write(&files, 1, &content(1, 3), 3).await;
        objects
            .put(&Path::from("p/incoming/7"), "left behind".into())
            .await
            .unwrap();
        assert_eq!(
            files.sweep_incoming().await.unwrap(),
            0,
            "a server may still be writing it"
        );
        let later = SystemTime::now() + Duration::from_secs(1);
        assert_eq!(files.sweep_older_than(later).await.unwrap(), 1);
        assert_eq!(names(&*objects).await, [format!("p/{}", hash(1))]);
    }
}
