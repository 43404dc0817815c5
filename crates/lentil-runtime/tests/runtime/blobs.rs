//! The bytes of files: when blobs are kept and when they are removed.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use lentil::{Body, Code, Document, StoredFile};
use lentil_runtime::http::BodyError;
use lentil_runtime::{ContentHash, FileStore, StoreFileError};
use lentil_system::files;

use crate::storage::{backend, read, stored, wait_for_blobs};

#[tokio::test]
async fn blob_is_kept_while_a_document_names_it() {
    let t = backend();
    let (first, second) = (stored(&t, "the same").await, stored(&t, "the same").await);
    assert_ne!(first, second);
    assert_eq!(t.files().hashes().len(), 1);
    t.action(async |ctx| ctx.storage.delete(&first).await)
        .await
        .unwrap();
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(read(&t, second).await.unwrap(), "the same");
    t.action(async |ctx| ctx.storage.delete(&second).await)
        .await
        .unwrap();
    wait_for_blobs(&t, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blob_stored_during_its_deletion_is_kept() {
    let t = backend();
    let runtime = t.runtime().await.clone();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let runtime = runtime.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    let id = runtime
                        .files()
                        .store(Body::from("contended"), None, None)
                        .await
                        .unwrap();
                    let text = id.to_string();
                    let call = async |path: &str| {
                        let args = lentil::Object::from([("id", text.as_str())]);
                        let identity = lentil_runtime::Identity::Anonymous;
                        let path = lentil_runtime::FunctionPath::parse(path).unwrap();
                        let call = lentil_runtime::FunctionCall::new(path, args, identity);
                        runtime.call(call, None).await.result.unwrap()
                    };
                    let url = call("files:url").await;
                    let url_id = url.as_str().unwrap().rsplit('/').next().unwrap();
                    let file = runtime
                        .files()
                        .find(url_id.parse().unwrap())
                        .await
                        .unwrap()
                        .unwrap();
                    let body = runtime
                        .files()
                        .read(&file, 0..file.size)
                        .await
                        .expect("its blob exists");
                    assert_eq!(body.bytes().await.unwrap(), "contended");
                    call("files:delete").await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    while !t.files().hashes().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn sweep_removes_only_blobs_without_documents() {
    let t = backend();
    let id = stored(&t, "named").await;
    t.files().insert_orphan(ContentHash([1; 32]));
    t.files().insert_orphan(ContentHash([2; 32]));
    assert_eq!(files::sweep(t.runtime().await).await.unwrap(), 2);
    assert_eq!(read(&t, id).await.unwrap(), "named");
    assert_eq!(files::sweep(t.runtime().await).await.unwrap(), 0);
}

#[tokio::test]
async fn failed_store_leaves_nothing() {
    let t = backend();
    let runtime = t.runtime().await;
    let broken = stream::iter([
        Ok(Bytes::from_static(b"half")),
        Err(BodyError::Incomplete("gone".into())),
    ]);
    let refused = runtime
        .files()
        .store(Body::from_stream(broken), None, None)
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        StoreFileError::Body(BodyError::Incomplete(_))
    ));
    let refused = runtime
        .files()
        .store(Body::from("x"), None, Some(ContentHash([0; 32])))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, StoreFileError::Sha256Mismatch { .. }),
        "{refused}"
    );
    assert!(t.files().hashes().is_empty());
    let none = t
        .query(async |ctx| ctx.db.system.query(StoredFile::all()).count().await)
        .await
        .unwrap();
    assert_eq!(none, 0);
    let refused = t
        .action(async |ctx| ctx.storage.store("x", Some("text/\nplain")).await)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::BadRequest);
}

#[tokio::test]
async fn file_of_many_chunks_is_read_back_unchanged() {
    for t in [backend(), backend().on_sqlite()] {
        let chunks: Vec<_> = (0..300_u32)
            .map(|at| Bytes::from(vec![at as u8; (at * 37 % 9_000) as usize]))
            .collect();
        let whole = chunks.concat();
        let body = Body::from_stream(stream::iter(chunks.into_iter().map(Ok)));
        let id = t
            .runtime()
            .await
            .files()
            .store(body, None, None)
            .await
            .unwrap();
        assert_eq!(read(&t, id).await.unwrap(), whole);
        let file = t
            .query(async |ctx| ctx.storage.get_metadata(&id).await)
            .await
            .unwrap()
            .unwrap();
        let file = t
            .runtime()
            .await
            .files()
            .find(file.storage_id.parse().unwrap())
            .await
            .unwrap()
            .unwrap();
        for range in [0..0, 0..1, 65_535..65_537, 262_143..262_145, 5_000..600_000] {
            let body = t
                .runtime()
                .await
                .files()
                .read(&file, range.clone())
                .await
                .unwrap();
            assert_eq!(
                body.bytes().await.unwrap(),
                whole[range.start as usize..range.end as usize]
            );
        }
    }
}

#[tokio::test]
async fn memory_store_lists_its_blobs() {
    use futures_util::StreamExt;
    let t = backend();
    stored(&t, "listed").await;
    let listed: Vec<_> = t.files().list().collect().await;
    assert_eq!(listed.len(), 1);
}
