//! Files over real sockets: uploads, downloads, ranges, conditions, and any input.

mod any_input;

use std::net::SocketAddr;
use std::time::Duration;

use lentil::{Document, Schema, StoredFile};
use lentil_server::{Listeners, ServerOptions, serve};
use lentil_testing::TestBackend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Running {
    t: TestBackend,
    address: SocketAddr,
}

/// An answer: status, head in lower case, body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Running {
    async fn start(options: ServerOptions) -> Running {
        let t = TestBackend::new(Schema::new());
        let main = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = main.local_addr().unwrap();
        let runtime = t.runtime().await.clone();
        tokio::spawn(serve(
            Listeners { main, site: None },
            runtime,
            options,
            std::future::pending(),
        ));
        Running { t, address }
    }

    async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that refuses need not read all of it.
        drop(stream.write_all(request.as_ref()).await);
        let mut answer = Vec::new();
        let read =
            tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        // A reset is a hang-up too.
        drop(read.expect("the server hangs up"));
        let answer = answer
            .strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n")
            .unwrap_or(&answer);
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("an answer has a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let (status_line, head) = head.split_once("\r\n").unwrap();
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let head = head
            .lines()
            .map(|line| {
                line.split_once(": ")
                    .map_or(line.to_owned(), |(name, value)| {
                        format!("{}: {value}", name.to_lowercase())
                    })
            })
            .collect::<Vec<_>>()
            .join("\n");
        Answer {
            status,
            head,
            body: answer[end + 4..].to_vec(),
        }
    }

    /// Sends this and no more. The status, where there is an answer.
    async fn ask_and_hang_up(&self, request: &[u8]) -> Option<u16> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        drop(stream.write_all(request).await);
        drop(stream.shutdown().await);
        let mut answer = Vec::new();
        let read =
            tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        drop(read.expect("the server hangs up"));
        String::from_utf8_lossy(&answer)
            .split(' ')
            .nth(1)?
            .parse()
            .ok()
    }

    /// `POST`s to a new upload URL.
    async fn upload(&self, headers: &[&str], body: &[u8]) -> Answer {
        let path = self.upload_path().await;
        self.post(&path, headers, body).await
    }

    async fn upload_path(&self) -> String {
        let url = self
            .t
            .mutation(async |ctx| ctx.storage.generate_upload_url().await)
            .await
            .unwrap();
        url.strip_prefix("http://127.0.0.1:3210")
            .unwrap()
            .to_owned()
    }

    async fn post(&self, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        self.ask([head.as_bytes(), body].concat()).await
    }

    /// Uploads, and returns the path of the file's URL.
    async fn stored(&self, headers: &[&str], body: &[u8]) -> String {
        let answer = self.upload(headers, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let id = answer
            .text()
            .strip_prefix("{\"storageId\":\"")
            .and_then(|rest| rest.strip_suffix("\"}"));
        let id = id.expect("the answer has the id").parse().unwrap();
        let url = self
            .t
            .query(async |ctx| ctx.storage.get_url(&id).await)
            .await
            .unwrap()
            .unwrap();
        url.strip_prefix("http://127.0.0.1:3210")
            .unwrap()
            .to_owned()
    }

    async fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.request("GET", path, headers).await
    }

    async fn request(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        self.ask(format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n"
        ))
        .await
    }
}

const DIGEST: &str = "sha-256=LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
const ETAG: &str = "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"";

#[tokio::test]
async fn a_file_comes_back_with_what_is_to_be_said_of_it() {
    let running = Running::start(ServerOptions::default()).await;
    let path = running
        .stored(&["content-type: image/png; x=y"], b"hello")
        .await;
    let answer = running.get(&path, &[]).await;
    assert_eq!((answer.status, answer.text()), (200, "hello"));
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
        assert_eq!(answer.header(name), Some(value), "{name}");
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
        assert_eq!(head.header(name), answer.header(name), "{name}");
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
async fn an_uploaded_page_runs_no_script_of_its_own() {
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
            let answer = running.get(&path, &[range]).await;
            let policy = answer.header("content-security-policy").unwrap();
            assert!(
                policy.starts_with("sandbox; default-src 'none';") && !policy.contains("allow"),
                "{policy}"
            );
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    }
    let path = running
        .stored(&["content-type: application/pdf"], b"%PDF")
        .await;
    let answer = running.get(&path, &[]).await;
    assert!(
        answer
            .header("content-security-policy")
            .unwrap()
            .starts_with("default-src 'none';")
    );
}

#[tokio::test]
async fn ranges_and_conditions() {
    let running = Running::start(ServerOptions::default()).await;
    let path = running.stored(&[], b"hello").await;
    for (range, part, content_range) in [
        ("bytes=0-0", "h", "bytes 0-0/5"),
        ("bytes=1-3", "ell", "bytes 1-3/5"),
        ("bytes=3-", "lo", "bytes 3-4/5"),
        ("bytes=-2", "lo", "bytes 3-4/5"),
        ("bytes=0-99", "hello", "bytes 0-4/5"),
    ] {
        let answer = running.get(&path, &[&format!("range: {range}")]).await;
        assert_eq!((answer.status, answer.text()), (206, part), "{range}");
        assert_eq!(answer.header("content-range"), Some(content_range));
        assert_eq!(
            answer.header("content-length"),
            Some(part.len().to_string().as_str())
        );
        assert_eq!(
            (answer.header("digest"), answer.header("etag")),
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
        let answer = running.get(&path, &[&format!("range: {range}")]).await;
        assert_eq!((answer.status, answer.text()), (416, ""), "{range}");
        assert_eq!(answer.header("content-range"), Some("bytes */5"));
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
async fn who_is_to_upload_needs_a_token_and_says_what_is_true() {
    let running = Running::start(ServerOptions::default()).await;
    let path = running.upload_path().await;
    for bad in [
        "/api/storage/upload",
        "/api/storage/upload?token=",
        "/api/storage/upload?token=AAAA",
        &format!("{path}A"),
    ] {
        let answer = running.post(bad, &[], b"x").await;
        assert!(
            answer.status == 401 && answer.text().contains("StorageTokenInvalid"),
            "{bad}: {answer:?}"
        );
    }
    for (digest, status) in [
        (DIGEST, 200),
        (
            "md5=AAAA, SHA-256=LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
            200,
        ),
        ("md5=AAAA", 200),
        ("sha-256=AAAA", 400),
        ("sha-256", 400),
        ("sha-256=AAJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", 400),
    ] {
        let answer = running
            .post(&path, &[&format!("digest: {digest}")], b"hello")
            .await;
        assert_eq!(answer.status, status, "{digest}: {}", answer.text());
    }
    let answer = running
        .post(
            &path,
            &["digest: sha-256=AAJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="],
            b"hello",
        )
        .await;
    assert!(
        answer.text().contains("\"Sha256Mismatch\""),
        "{}",
        answer.text()
    );
    running.t.advance(Duration::from_secs(3_601));
    let answer = running.post(&path, &[], b"x").await;
    assert!(
        answer.status == 401 && answer.text().contains("StorageTokenExpired"),
        "{answer:?}"
    );
    assert_eq!(running.get("/api/storage/upload", &[]).await.status, 405);
}

#[tokio::test]
async fn what_is_no_file_is_said_to_be_none() {
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
        let answer = running.get(path, &[]).await;
        assert!(
            answer.status == 400 && answer.text().contains("InvalidStoragePath"),
            "{path}: {answer:?}"
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
async fn pages_of_every_origin_may_upload_and_read() {
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
    let answer = running
        .get(&url, &["origin: https://a.example", "range: bytes=0-0"])
        .await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://a.example")
    );
    assert!(
        answer
            .header("access-control-expose-headers")
            .unwrap()
            .contains("Content-Range")
    );
    assert_eq!(answer.header("vary"), Some("Origin"));
}

#[tokio::test]
async fn a_file_may_be_larger_than_other_bodies_and_a_slow_sender_is_cut() {
    let short = Duration::from_millis(150);
    let options = ServerOptions {
        max_body_bytes: 10,
        progress_timeout: short,
        ..ServerOptions::default()
    };
    let running = Running::start(options).await;
    let large: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    let url = running.stored(&[], &large).await;
    assert!(running.get(&url, &[]).await.body == large);
    let path = running.upload_path().await;
    let slow = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf");
    assert_eq!(running.ask(slow).await.status, 408);
    let chunked = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    assert_eq!(running.ask(chunked).await.status, 200);
    assert_eq!(
        running.t.files().hashes().len(),
        2,
        "nothing is left of what did not come whole"
    );
}

#[tokio::test]
async fn uploads_that_wait_for_their_clients_keep_no_other_waiting() {
    let options = ServerOptions {
        max_uploads: 1,
        max_uploads_per_token: 3,
        max_uploads_per_address: 5,
        ..ServerOptions::default()
    };
    let running = Running::start(options).await;
    let dawdle = async |path: &str| {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let begun = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nx");
        stream.write_all(begun.as_bytes()).await.unwrap();
        stream
    };
    let refused = async |path: &str| {
        let upload = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n");
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(upload.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    };
    let reused = running.upload_path().await;
    let mut dawdlers = Vec::new();
    for _ in 0..3 {
        dawdlers.push(dawdle(&reused).await);
    }
    while refused(&reused).await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
    let answer = refused(&reused).await;
    assert!(
        answer.starts_with("HTTP/1.1 429") && answer.contains("with this token"),
        "{answer}"
    );
    assert_eq!(running.upload(&[], b"another").await.status, 200);
    for _ in 0..2 {
        dawdlers.push(dawdle(&running.upload_path().await).await);
    }
    let path = running.upload_path().await;
    while refused(&path).await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
    let answer = refused(&path).await;
    assert!(
        answer.starts_with("HTTP/1.1 429") && answer.contains("from this address"),
        "{answer}"
    );
    dawdlers.clear();
    while running.upload(&[], b"later").await.status != 200 {
        tokio::task::yield_now().await;
    }
}
