use std::time::Duration;

use bytes::Bytes;
use lentil::{
    ActionCtx, Args, Code, Document, Error, Functions, HttpRequest, HttpRouter, Id, Method,
    MutationCtx, QueryCtx, Request, Response, Result, Schema, StatusCode, StoredFile,
};
use lentil_runtime::UploadTokenError;
use lentil_testing::{TestBackend, TestResponse};

/// A document that names a file.
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
    Err(Error::msg("it fails after the deletion"))
}

async fn store(ctx: &ActionCtx, _: ()) -> Result<Id<StoredFile>> {
    ctx.storage.store("from an action", None).await
}

pub(crate) fn backend() -> TestBackend {
    let functions = Functions::in_module("files")
        .query("url", url)
        .mutation("delete", delete)
        .mutation("deleteAndFail", delete_and_fail)
        .action("store", store);
    TestBackend::new(Schema::new().table::<App>()).functions(functions)
}

pub(crate) async fn stored(t: &TestBackend, bytes: &'static str) -> Id<StoredFile> {
    t.action(async |ctx| ctx.storage.store(bytes, Some("text/plain")).await)
        .await
        .unwrap()
}

pub(crate) async fn read(t: &TestBackend, id: Id<StoredFile>) -> Option<Bytes> {
    let read = t.action(async |ctx| match ctx.storage.get(&id).await? {
        Some(file) => Ok(Some(file.bytes().await?)),
        None => Ok(None),
    });
    read.await.unwrap()
}

/// Waits until this many blobs are left. Blobs are removed after the mutation has returned.
pub(crate) async fn wait_for_blobs(t: &TestBackend, blobs: usize) {
    for _ in 0..10_000 {
        if t.files().hashes().len() == blobs {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!(
        "there are {} blobs, expected {blobs}",
        t.files().hashes().len()
    );
}

#[tokio::test]
async fn file_is_stored_read_and_deleted() {
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
    wait_for_blobs(&t, 0).await;
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
async fn files_are_stored_on_disk() {
    let t = backend().on_sqlite();
    let id = stored(&t, "on a disk").await;
    assert_eq!(read(&t, id).await.unwrap(), "on a disk");
    t.action(async |ctx| ctx.storage.delete(&id).await)
        .await
        .unwrap();
    assert_eq!(read(&t, id).await, None);
}

#[tokio::test]
async fn functions_list_files_and_cannot_write_their_table() {
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
async fn file_id_is_a_field_and_ids_of_other_tables_are_rejected() {
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
async fn rolled_back_deletion_keeps_the_file() {
    let t = backend();
    let id = stored(&t, "kept").await;
    let failed = t.mutation(async |ctx| {
        ctx.storage.delete(&id).await?;
        assert_eq!(
            ctx.storage.get_url(&id).await?,
            None,
            "the mutation reads its own deletion"
        );
        Err::<(), _>(Error::msg("it fails after the deletion"))
    });
    assert!(failed.await.is_err());
    // The nested mutation fails, and its caller continues.
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
async fn upload_url_is_valid_for_an_hour() {
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
async fn cached_url_is_invalidated_by_the_deletion_of_its_file() {
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
