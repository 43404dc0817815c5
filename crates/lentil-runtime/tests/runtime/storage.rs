use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use lentil::{
    ActionCtx, Args, Body, Code, Document, Error, Functions, HttpRequest, HttpRouter, Id, Method,
    MutationCtx, QueryCtx, Request, Response, Result, Schema, StatusCode, StoredFile,
};
use lentil_runtime::http::BodyError;
use lentil_runtime::{ContentHash, FileStore, StoreFileError, UploadTokenError};
use lentil_system::files;
use lentil_testing::{TestBackend, TestResponse};

/// Something with a picture.
#[derive(Document, Clone, Debug, PartialEq)]
#[table("apps")]
struct App {
    picture: Option<Id<StoredFile>>,
}

#[derive(Args, Clone)]
struct Which {
    id: Id<StoredFile>,
}

async fn url(ctx: &mut QueryCtx, args: Which) -> Result<Option<String>> {
    ctx.storage.get_url(&args.id).await
}

async fn delete(ctx: &mut MutationCtx, args: Which) -> Result<()> {
    ctx.storage.delete(&args.id).await
}

async fn delete_and_fail(ctx: &mut MutationCtx, args: Which) -> Result<()> {
    ctx.storage.delete(&args.id).await?;
    Err(Error::msg("changed its mind"))
}

async fn store(ctx: &ActionCtx, _: ()) -> Result<Id<StoredFile>> {
    ctx.storage.store("from an action", None).await
}

fn backend() -> TestBackend {
    let functions = Functions::in_module("files")
        .query("url", url)
        .mutation("delete", delete)
        .mutation("deleteAndFail", delete_and_fail)
        .action("store", store);
    TestBackend::new(Schema::new().table::<App>()).functions(functions)
}

async fn stored(t: &TestBackend, bytes: &'static str) -> Id<StoredFile> {
    t.action(async |ctx| ctx.storage.store(bytes, Some("text/plain")).await)
        .await
        .unwrap()
}

async fn read(t: &TestBackend, id: Id<StoredFile>) -> Option<Bytes> {
    let read = t.action(async |ctx| match ctx.storage.get(&id).await? {
        Some(file) => Ok(Some(file.bytes().await?)),
        None => Ok(None),
    });
    read.await.unwrap()
}

/// Contents are removed after the answer: lets that happen.
async fn until_there_are(t: &TestBackend, contents: usize) {
    for _ in 0..10_000 {
        if t.files().hashes().len() == contents {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!(
        "there are {} contents, and not {contents}",
        t.files().hashes().len()
    );
}

#[tokio::test]
async fn a_file_is_stored_told_of_read_and_deleted() {
    let t = backend();
    let id = stored(&t, "hello").await;
    let (url, metadata, file) = t
        .query(async |ctx| {
            let url = ctx.storage.get_url(&id).await?.unwrap();
            Ok((
                url,
                ctx.storage.get_metadata(&id).await?.unwrap(),
                ctx.db.system.get(&id).await?.unwrap(),
            ))
        })
        .await
        .unwrap();
    assert_eq!(
        url,
        format!("http://127.0.0.1:3210/api/storage/{}", metadata.storage_id)
    );
    assert_ne!(metadata.storage_id, id.to_string());
    assert_eq!(
        metadata.sha256,
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    );
    assert_eq!(
        (metadata.size, metadata.content_type.as_deref()),
        (5.0, Some("text/plain"))
    );
    assert_eq!(file.sha256, "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
    assert_eq!((file.size, file.id), (5.0, id));
    assert_eq!(read(&t, id).await.unwrap(), "hello");

    t.mutation(async |ctx| ctx.storage.delete(&id).await)
        .await
        .unwrap();
    assert_eq!(read(&t, id).await, None);
    assert_eq!(
        t.query(async |ctx| ctx.storage.get_url(&id).await)
            .await
            .unwrap(),
        None
    );
    until_there_are(&t, 0).await;
    let again = t
        .mutation(async |ctx| ctx.storage.delete(&id).await)
        .await
        .unwrap_err();
    assert_eq!(again.code(), Code::NonexistentDocument);
    assert!(
        again
            .message()
            .ends_with(&format!("storage id {id} not found")),
        "{again}"
    );
}

#[tokio::test]
async fn it_works_on_a_disk_too() {
    let t = backend().on_sqlite();
    let id = stored(&t, "on a disk").await;
    assert_eq!(read(&t, id).await.unwrap(), "on a disk");
    t.action(async |ctx| ctx.storage.delete(&id).await)
        .await
        .unwrap();
    assert_eq!(read(&t, id).await, None);
}

#[tokio::test]
async fn files_are_listed_and_no_function_writes_their_table() {
    let t = backend();
    let first = stored(&t, "one").await;
    stored(&t, "two").await;
    let sizes = t.query(async |ctx| {
        let files = ctx.db.system.query(StoredFile::all()).collect().await?;
        Ok(files.iter().map(|file| file.size).collect::<Vec<_>>())
    });
    assert_eq!(sizes.await.unwrap(), [3.0, 3.0]);
    let refused = t
        .query(async |ctx| ctx.db.query(StoredFile::all()).collect().await)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidQuery);
    let refused = t
        .query(async |ctx| ctx.db.get(&first).await)
        .await
        .unwrap_err();
    assert!(refused.message().contains("db.system"), "{refused}");
    assert!(
        t.mutation(async |ctx| ctx.db.delete(&first).await)
            .await
            .is_err()
    );
    let file = t
        .query(async |ctx| ctx.db.system.get(&first).await)
        .await
        .unwrap()
        .unwrap();
    assert!(
        t.mutation(async |ctx| ctx.db.insert(file.fields.clone()).await)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_id_of_a_file_is_a_field_and_an_id_of_another_table_is_no_file() {
    let t = backend();
    let id = stored(&t, "picture").await;
    let app = t
        .mutation(async |ctx| ctx.db.insert(App { picture: Some(id) }).await)
        .await
        .unwrap();
    let found = t
        .query(async |ctx| ctx.db.get(&app).await)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.picture, Some(id));
    let other = Id::<StoredFile>::new(app.document_id());
    let refused = t
        .mutation(async |ctx| {
            ctx.db
                .insert(App {
                    picture: Some(other),
                })
                .await
        })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::SchemaEnforcement);
    for refused in [
        t.query(async |ctx| ctx.storage.get_url(&other).await.map(drop))
            .await,
        t.query(async |ctx| ctx.db.system.get(&other).await.map(drop))
            .await,
        t.mutation(async |ctx| ctx.storage.delete(&other).await)
            .await,
        t.action(async |ctx| ctx.storage.get(&other).await.map(drop))
            .await,
    ] {
        assert_eq!(refused.unwrap_err().code(), Code::InvalidId);
    }
    assert!(
        t.call("files:url", [("id", app.to_string())])
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_deletion_that_is_rolled_back_deletes_nothing() {
    let t = backend();
    let id = stored(&t, "kept").await;
    let failed = t.mutation(async |ctx| {
        ctx.storage.delete(&id).await?;
        assert_eq!(
            ctx.storage.get_url(&id).await?,
            None,
            "its own reads see it"
        );
        Err::<(), _>(Error::msg("changed its mind"))
    });
    assert!(failed.await.is_err());
    // The nested mutation fails, and the one around it goes on.
    let caught = t.mutation(async |ctx| {
        assert!(
            ctx.run_mutation(delete_and_fail, Which { id })
                .await
                .is_err()
        );
        Ok(())
    });
    caught.await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(read(&t, id).await.unwrap(), "kept");
}

#[tokio::test]
async fn a_content_is_kept_while_any_document_names_it() {
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
    until_there_are(&t, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_is_stored_while_it_is_deleted_is_there() {
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
                        .expect("its content is there");
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
async fn what_a_crash_has_left_is_swept_and_nothing_else() {
    let t = backend();
    let id = stored(&t, "named").await;
    t.files().insert_orphan(ContentHash([1; 32]));
    t.files().insert_orphan(ContentHash([2; 32]));
    assert_eq!(files::sweep(t.runtime().await).await.unwrap(), 2);
    assert_eq!(read(&t, id).await.unwrap(), "named");
    assert_eq!(files::sweep(t.runtime().await).await.unwrap(), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_or_is_another_than_announced_leaves_nothing() {
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
async fn an_upload_url_is_good_for_an_hour() {
    let t = backend();
    let url = t
        .mutation(async |ctx| ctx.storage.generate_upload_url().await)
        .await
        .unwrap();
    let token = url
        .strip_prefix("http://127.0.0.1:3210/api/storage/upload?token=")
        .unwrap();
    let runtime = t.runtime().await;
    assert_eq!(runtime.files().check_upload_token(token), Ok(()));
    t.advance(Duration::from_secs(3600));
    assert_eq!(
        runtime.files().check_upload_token(token),
        Ok(()),
        "more than once"
    );
    t.advance(Duration::from_millis(1));
    assert_eq!(
        runtime.files().check_upload_token(token),
        Err(UploadTokenError::Expired)
    );
    assert_eq!(
        runtime.files().check_upload_token(""),
        Err(UploadTokenError::Invalid)
    );
    let other = backend().seed(1);
    let url = other
        .action(async |ctx| ctx.storage.generate_upload_url().await)
        .await
        .unwrap();
    let token = url.rsplit('=').next().unwrap();
    assert_eq!(
        runtime.files().check_upload_token(token),
        Err(UploadTokenError::Invalid),
        "another server's"
    );
}

#[tokio::test]
async fn a_cached_url_goes_with_its_file() {
    let t = backend();
    let id = t.call("files:store", lentil::Object::new()).await.unwrap();
    let args = || lentil::Object::from([("id", id.as_str().unwrap())]);
    assert!(
        t.call("files:url", args())
            .await
            .unwrap()
            .as_str()
            .is_some()
    );
    t.call("files:delete", args()).await.unwrap();
    assert_eq!(
        t.call("files:url", args()).await.unwrap(),
        lentil::Value::Null
    );
}

#[tokio::test]
async fn many_chunks_come_out_as_they_went_in() {
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
async fn a_store_in_memory_lists_what_it_has() {
    use futures_util::StreamExt;
    let t = backend();
    stored(&t, "listed").await;
    let listed: Vec<_> = t.files().list().collect().await;
    assert_eq!(listed.len(), 1);
}

async fn get_file(ctx: &ActionCtx, request: Request) -> Result<Response> {
    let id: Id<StoredFile> = request.query("id").unwrap_or_default().parse()?;
    Response::file(&ctx.storage, &request, id).await
}

#[tokio::test]
async fn a_route_serves_a_file_whole_in_part_and_by_its_tag() {
    for t in [backend(), backend().on_sqlite()] {
        let t = t.http(HttpRouter::new().route(Method::GET, "/file", get_file));
        let id = stored(&t, "0123456789").await;
        let fetch = async |method: Method, name: &str, value: &str| {
            let request = HttpRequest::builder()
                .method(method)
                .uri(format!("/file?id={id}"))
                .header(name, value);
            t.fetch(request.body("").unwrap()).await
        };
        let header = |response: &TestResponse, name: &str| {
            let value = response.headers.get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };

        let whole = fetch(Method::GET, "x-none", "").await;
        assert_eq!((whole.status, whole.text()), (StatusCode::OK, "0123456789"));
        assert_eq!(
            header(&whole, "content-type").as_deref(),
            Some("text/plain")
        );
        assert!(
            header(&whole, "content-security-policy")
                .unwrap()
                .contains("sandbox")
        );
        let tag = header(&whole, "etag").unwrap();

        let head = fetch(Method::HEAD, "x-none", "").await;
        assert_eq!((head.status, head.text()), (StatusCode::OK, ""));
        assert_eq!(header(&head, "content-length").as_deref(), Some("10"));
        let part = fetch(Method::GET, "range", "bytes=2-4").await;
        assert_eq!(
            (part.status, part.text()),
            (StatusCode::PARTIAL_CONTENT, "234")
        );
        assert_eq!(
            header(&part, "content-range").as_deref(),
            Some("bytes 2-4/10")
        );
        let known = fetch(Method::GET, "if-none-match", &tag).await;
        assert_eq!((known.status, known.text()), (StatusCode::NOT_MODIFIED, ""));

        t.run_mutation(delete, Which { id }).await.unwrap();
        let gone = fetch(Method::GET, "x-none", "").await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND);
    }
}
