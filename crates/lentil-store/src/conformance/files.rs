//! The conformance suite for file stores.
//!
//! ```ignore
//! lentil_store::conformance::files::suite!(|| async { TestFiles::of(MyFiles::open()) });
//! ```

use std::any::Any;
use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future};

use crate::file_store::{ContentHash, FileStore};

/// A file store under test, with a value that must live as long, such as its folder.
pub struct TestFiles {
    /// The store.
    pub files: Arc<dyn FileStore>,
    _keep: Box<dyn Any + Send>,
}

impl TestFiles {
    /// Makes a test store without such a value.
    pub fn of(files: impl FileStore) -> TestFiles {
        TestFiles::keeping(files, ())
    }

    /// Makes a test store that needs `keep`.
    pub fn keeping(files: impl FileStore, keep: impl Any + Send) -> TestFiles {
        TestFiles {
            files: Arc::new(files),
            _keep: Box::new(keep),
        }
    }
}

/// Makes a module with the tests of the suite. Each runs on a new store.
#[macro_export]
macro_rules! file_conformance_suite {
    ($make:expr) => {
        mod conformance {
            use super::*;

            $crate::conformance_tests! { $make;
                files: a_blob_is_read_back, an_unfinished_blob_is_invisible,
                    a_dropped_writer_leaves_nothing, a_range_is_read_exactly, a_range_past_the_end_is_an_error,
                    equal_blobs_are_stored_once, a_removed_blob_is_gone,
                    many_blobs_are_all_listed, concurrent_writers_do_not_mix,
                    a_large_blob_in_small_chunks_is_whole, a_reader_continues_after_a_replacement;
            }
        }
    };
}

pub use crate::file_conformance_suite as suite;

/// Returns a hash for the blob of this number. A file store does not check the hash.
pub fn hash(number: u64) -> ContentHash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    hash[24..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    ContentHash(hash)
}

/// Returns bytes that differ by position and by number.
pub fn content(number: u64, length: usize) -> Bytes {
    (0..length as u64)
        .map(|at| (at.wrapping_mul(31) + at / 251 + number.wrapping_mul(7)) as u8)
        .collect()
}

/// Writes a blob in chunks of this size.
pub async fn write(files: &dyn FileStore, number: u64, content: &Bytes, chunk: usize) {
    let mut writer = files.create().await.expect("a blob is begun");
    for at in (0..content.len()).step_by(chunk) {
        writer
            .write(content.slice(at..content.len().min(at + chunk)))
            .await
            .expect("a chunk is written");
    }
    writer.finish(&hash(number)).await.expect("it is finished");
}

/// Reads a range of a blob, if there is such a blob.
pub async fn read(files: &dyn FileStore, number: u64, range: Range<u64>) -> Option<Vec<u8>> {
    let chunks = files
        .read(&hash(number), range)
        .await
        .expect("it can be looked for")?;
    Some(
        chunks
            .try_collect::<Vec<_>>()
            .await
            .expect("it is read to its end")
            .concat(),
    )
}

/// Lists the hashes and checks that each is listed once.
pub async fn listed(files: &dyn FileStore) -> BTreeSet<ContentHash> {
    let hashes: Vec<_> = files.list().try_collect().await.expect("they are listed");
    let set: BTreeSet<_> = hashes.iter().copied().collect();
    assert_eq!(set.len(), hashes.len(), "each blob is listed once");
    set
}

/// A blob of any length and chunk size is read back. A blob that was not written does not exist.
pub async fn a_blob_is_read_back<M: Future<Output = TestFiles>>(make: &impl Fn() -> M) {
    let made = make().await;
    for (number, length, chunk) in [(1, 0, 1), (2, 1, 1), (3, 1_000, 7), (4, 300_000, 300_000)] {
        let content = content(number, length);
        write(&*made.files, number, &content, chunk).await;
        assert!(
            read(&*made.files, number, 0..length as u64)
                .await
                .expect("it is there")
                == content,
            "{length}"
        );
    }
    assert_eq!(listed(&*made.files).await, (1..=4).map(hash).collect());
    assert_eq!(read(&*made.files, 5, 0..1).await, None);
    assert_eq!(read(&*made.files, 5, 0..0).await, None);
}

/// A blob that is being written is invisible, whether small or large.
pub async fn an_unfinished_blob_is_invisible<M: Future<Output = TestFiles>>(make: &impl Fn() -> M) {
    let made = make().await;
    for length in [10, 9 << 20] {
        let content = content(1, length);
        let mut writer = made.files.create().await.unwrap();
        writer.write(content.clone()).await.unwrap();
        assert_eq!(
            (
                listed(&*made.files).await.len(),
                read(&*made.files, 1, 0..1).await
            ),
            (0, None)
        );
        writer.finish(&hash(1)).await.unwrap();
        assert_eq!(
            read(&*made.files, 1, 0..length as u64).await.unwrap().len(),
            length
        );
        made.files.remove(&hash(1)).await.unwrap();
    }
}

/// A dropped writer leaves no blob.
pub async fn a_dropped_writer_leaves_nothing<M: Future<Output = TestFiles>>(make: &impl Fn() -> M) {
    let made = make().await;
    for length in [0, 10, 9 << 20, 17 << 20] {
        let mut writer = made.files.create().await.unwrap();
        writer.write(content(1, length)).await.unwrap();
        drop(writer);
        assert_eq!(
            (
                listed(&*made.files).await.len(),
                read(&*made.files, 1, 0..1).await
            ),
            (0, None)
        );
    }
}

/// A range is read exactly, also if it is empty or at the end.
pub async fn a_range_is_read_exactly<M: Future<Output = TestFiles>>(make: &impl Fn() -> M) {
    let made = make().await;
    let length = 700_000;
    let content = content(1, length);
    write(&*made.files, 1, &content, 65_536).await;
    for range in [
        0..0,
        0..1,
        1..2,
        5..5,
        0..length,
        1..length - 1,
        262_143..262_145,
        length - 1..length,
        length..length,
    ] {
        let read = read(&*made.files, 1, range.start as u64..range.end as u64)
            .await
            .expect("it is there");
        assert!(read == content.slice(range.clone()), "{range:?}");
    }
}

/// A range past the end is an error, not a shorter result.
pub async fn a_range_past_the_end_is_an_error<M: Future<Output = TestFiles>>(
    make: &impl Fn() -> M,
) {
    let made = make().await;
    write(&*made.files, 1, &content(1, 10), 10).await;
    for range in [0..11, 9..11, 10..11, 20..30] {
        let is_error = match made.files.read(&hash(1), range.clone()).await {
            Ok(chunks) => chunks
                .expect("it is there")
                .try_collect::<Vec<_>>()
                .await
                .is_err(),
            Err(_) => true,
        };
        assert!(
            is_error,
            "{range:?}: missing bytes must not look like the end"
        );
    }
}

/// A blob that is written twice exists once.
pub async fn equal_blobs_are_stored_once<M: Future<Output = TestFiles>>(make: &impl Fn() -> M) {
    let made = make().await;
    for length in [100, 9 << 20] {
        let content = content(1, length);
        for _ in 0..2 {
            write(&*made.files, 1, &content, 1 << 20).await;
        }
        assert_eq!(listed(&*made.files).await, BTreeSet::from([hash(1)]));
        assert!(read(&*made.files, 1, 0..length as u64).await.unwrap() == content);
    }
}

/// A removed blob does not exist and can be written again.
pub async fn a_removed_blob_is_gone<M: Future<Output = TestFiles>>(make: &impl Fn() -> M) {
    let made = make().await;
    made.files
        .remove(&hash(1))
        .await
        .expect("removing a missing blob is not an error");
    for number in [1, 2] {
        write(&*made.files, number, &content(number, 10), 10).await;
    }
    made.files.remove(&hash(1)).await.unwrap();
    made.files.remove(&hash(1)).await.unwrap();
    assert_eq!(
        (
            read(&*made.files, 1, 0..1).await,
            read(&*made.files, 1, 0..0).await
        ),
        (None, None)
    );
    assert_eq!(listed(&*made.files).await, BTreeSet::from([hash(2)]));
    write(&*made.files, 1, &content(3, 10), 10).await;
    assert_eq!(read(&*made.files, 1, 0..10).await.unwrap(), content(3, 10));
}

/// Blobs of more than one page are all listed, also while they are removed.
pub async fn many_blobs_are_all_listed<M: Future<Output = TestFiles>>(make: &impl Fn() -> M) {
    const MANY: u64 = 1_100;
    let made = make().await;
    for number in 0..MANY {
        write(&*made.files, number, &content(number, 3), 3).await;
    }
    assert_eq!(listed(&*made.files).await, (0..MANY).map(hash).collect());
    // A blob that is removed during the listing may be listed or not. All others are.
    let mut list = made.files.list();
    let mut seen = BTreeSet::new();
    while let Some(listed) = list.next().await {
        let listed = listed.unwrap();
        made.files.remove(&listed).await.unwrap();
        seen.insert(listed);
    }
    assert_eq!(seen.len() as u64, MANY);
    assert_eq!(listed(&*made.files).await.len(), 0);
}

/// Blobs that are written concurrently do not mix.
pub async fn concurrent_writers_do_not_mix<M: Future<Output = TestFiles>>(make: &impl Fn() -> M) {
    let made = make().await;
    let numbers: Vec<u64> = (0..12).collect();
    let length = |number: u64| {
        if number.is_multiple_of(4) {
            9 << 20
        } else {
            200_000 + number as usize
        }
    };
    let writes = numbers.iter().map(|number| {
        let files = Arc::clone(&made.files);
        let (number, content) = (*number, content(*number, length(*number)));
        async move { write(&*files, number, &content, 50_000).await }
    });
    future::join_all(writes).await;
    for number in numbers {
        let read = read(&*made.files, number, 0..length(number) as u64)
            .await
            .unwrap();
        assert!(read == content(number, length(number)), "{number}");
    }
}

/// A large blob is complete, and each part is in its place.
pub async fn a_large_blob_in_small_chunks_is_whole<M: Future<Output = TestFiles>>(
    make: &impl Fn() -> M,
) {
    let made = make().await;
    let length = (40 << 20) + 1;
    let content = content(1, length);
    write(&*made.files, 1, &content, 10_007).await;
    assert!(read(&*made.files, 1, 0..length as u64).await.unwrap() == content);
    let middle = (8 << 20) - 1..(24 << 20) + 1;
    let read = read(&*made.files, 1, middle.start as u64..middle.end as u64)
        .await
        .unwrap();
    assert!(read == content.slice(middle));
}

/// A read that has begun continues to the end while the same blob is written again.
pub async fn a_reader_continues_after_a_replacement<M: Future<Output = TestFiles>>(
    make: &impl Fn() -> M,
) {
    let made = make().await;
    let length = 2 << 20;
    let content = content(1, length);
    write(&*made.files, 1, &content, length).await;
    let mut chunks = made
        .files
        .read(&hash(1), 0..length as u64)
        .await
        .unwrap()
        .unwrap();
    let mut read = chunks.next().await.unwrap().unwrap().to_vec();
    write(&*made.files, 1, &content, length).await;
    while let Some(chunk) = chunks.next().await {
        read.extend_from_slice(&chunk.unwrap());
    }
    assert!(read == content);
}
