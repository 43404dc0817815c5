//! Downloads, ranges and conditions.

use lentil::{Document, StoredFile};
use lentil_server::ServerOptions;

use crate::{DIGEST, Running};

/// The entity tag of `hello`.
const ETAG: &str = "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"";

#[tokio::test]
async fn file_is_returned_with_its_headers() {
    let running = Running::start(ServerOptions::default()).await;
    let path = running
        .stored(&["content-type: image/png; x=y"], b"hello")
        .await;
    let response = running.get(&path, &[]).await;
    assert_eq!((response.status, response.text()), (200, "hello"));
    for (name, value) in [
        ("content-type", "image/png; x=y"),
        ("content-length", "5"),
        ("digest", DIGEST),
        ("etag", ETAG),
        ("cache-control", "private, max-age=2592000"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("vary", "Origin"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let head = running.request("HEAD", &path, &[]).await;
    assert_eq!((head.status, head.text()), (200, ""));
    for name in [
        "content-type",
        "content-length",
        "digest",
        "etag",
        "accept-ranges",
    ] {
        assert_eq!(head.header(name), response.header(name), "{name}");
    }
    let untyped = running.stored(&[], b"").await;
    let empty = running.get(&untyped, &["range: bytes=0-"]).await;
    assert_eq!(
        (
            empty.status,
            empty.header("content-type"),
            empty.header("content-length")
        ),
        (200, None, Some("0"))
    );
    assert_eq!(
        running
            .get(
                &path.to_uppercase().replace("/API/STORAGE", "/api/storage"),
                &[]
            )
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn uploaded_page_cannot_run_script() {
    let running = Running::start(ServerOptions::default()).await;
    for content_type in [
        "text/html",
        "image/svg+xml",
        "application/xhtml+xml",
        "",
        "text/html, application/pdf",
    ] {
        let path = running
            .stored(
                &[&format!("content-type: {content_type}")],
                b"<script>alert(1)</script>",
            )
            .await;
        for range in ["accept: */*", "range: bytes=0-", "range: bytes=99-"] {
            let response = running.get(&path, &[range]).await;
            let policy = response.header("content-security-policy").unwrap();
            assert!(
                policy.starts_with("sandbox; default-src 'none';") && !policy.contains("allow"),
                "{policy}"
            );
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        }
    }
    let path = running
        .stored(&["content-type: application/pdf"], b"%PDF")
        .await;
    let response = running.get(&path, &[]).await;
    assert!(
        response
            .header("content-security-policy")
            .unwrap()
            .starts_with("default-src 'none';")
    );
}

#[tokio::test]
async fn ranges_and_conditions_select_bytes() {
    let running = Running::start(ServerOptions::default()).await;
    let path = running.stored(&[], b"hello").await;
    for (range, part, content_range) in [
        ("bytes=0-0", "h", "bytes 0-0/5"),
        ("bytes=1-3", "ell", "bytes 1-3/5"),
        ("bytes=3-", "lo", "bytes 3-4/5"),
        ("bytes=-2", "lo", "bytes 3-4/5"),
        ("bytes=0-99", "hello", "bytes 0-4/5"),
    ] {
        let response = running.get(&path, &[&format!("range: {range}")]).await;
        assert_eq!((response.status, response.text()), (206, part), "{range}");
        assert_eq!(response.header("content-range"), Some(content_range));
        assert_eq!(
            response.header("content-length"),
            Some(part.len().to_string().as_str())
        );
        assert_eq!(
            (response.header("digest"), response.header("etag")),
            (None, Some(ETAG))
        );
        let head = running
            .request("HEAD", &path, &[&format!("range: {range}")])
            .await;
        assert_eq!(
            (head.status, head.text(), head.header("content-range")),
            (206, "", Some(content_range))
        );
    }
    for range in ["bytes=5-", "bytes=-0", "bytes=0-1,2-3"] {
        let response = running.get(&path, &[&format!("range: {range}")]).await;
        assert_eq!((response.status, response.text()), (416, ""), "{range}");
        assert_eq!(response.header("content-range"), Some("bytes */5"));
    }
    for range in ["bytes=x-", "bytes=3-1", "lines=1-2"] {
        assert_eq!(
            running
                .get(&path, &[&format!("range: {range}")])
                .await
                .status,
            200,
            "{range}"
        );
    }
    let same = running
        .get(&path, &[&format!("if-none-match: {ETAG}")])
        .await;
    assert_eq!(
        (same.status, same.text(), same.header("etag")),
        (304, "", Some(ETAG))
    );
    assert_eq!(
        running
            .get(&path, &["if-none-match: \"other\""])
            .await
            .status,
        200
    );
    assert_eq!(
        running.get(&path, &["if-match: \"other\""]).await.status,
        412
    );
    assert_eq!(
        running
            .get(&path, &["range: bytes=0-0", "if-range: \"other\""])
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn unknown_and_malformed_file_urls_are_refused() {
    let running = Running::start(ServerOptions::default()).await;
    let unknown = running
        .get("/api/storage/00000000-0000-4000-8000-000000000000", &[])
        .await;
    assert!(
        unknown.status == 404 && unknown.text().contains("FileNotFound"),
        "{unknown:?}"
    );
    for path in [
        "/api/storage/",
        "/api/storage/kg2",
        "/api/storage/../files",
        "/api/storage/00000000000040008000000000000000",
    ] {
        let response = running.get(path, &[]).await;
        assert!(
            response.status == 400 && response.text().contains("InvalidStoragePath"),
            "{path}: {response:?}"
        );
    }
    let path = running.stored(&[], b"hello").await;
    assert_eq!(running.request("DELETE", &path, &[]).await.status, 405);
    let id = running
        .t
        .query(async |ctx| ctx.db.system.query(StoredFile::all()).unique().await);
    let id = id.await.unwrap().unwrap().id;
    running
        .t
        .mutation(async |ctx| ctx.storage.delete(&id).await)
        .await
        .unwrap();
    assert_eq!(running.get(&path, &[]).await.status, 404);
}

#[tokio::test]
async fn pages_of_every_origin_may_upload_and_download() {
    let running = Running::start(ServerOptions::default()).await;
    let path = running.upload_path().await;
    let asks = [
        "origin: https://a.example",
        "access-control-request-headers: content-type, digest",
    ];
    let preflight = running.request("OPTIONS", &path, &asks).await;
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("content-type, digest")
    );
    let url = running
        .stored(&["origin: https://a.example"], b"hello")
        .await;
    let response = running
        .get(&url, &["origin: https://a.example", "range: bytes=0-0"])
        .await;
    assert_eq!(
        response.header("access-control-allow-origin"),
        Some("https://a.example")
    );
    assert!(
        response
            .header("access-control-expose-headers")
            .unwrap()
            .contains("Content-Range")
    );
    assert_eq!(response.header("vary"), Some("Origin"));
}
