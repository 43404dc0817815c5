//! Uploads.

use std::time::Duration;

use lentil_server::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{DIGEST, Running};

#[tokio::test]
async fn upload_needs_a_valid_token_and_a_matching_digest() {
    let running = Running::start(ServerOptions::default()).await;
    let path = running.upload_path().await;
    for bad in [
        "/api/storage/upload",
        "/api/storage/upload?token=",
        "/api/storage/upload?token=AAAA",
        &format!("{path}A"),
    ] {
        let response = running.post(bad, &[], b"x").await;
        assert!(
            response.status == 401 && response.text().contains("StorageTokenInvalid"),
            "{bad}: {response:?}"
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
        let response = running
            .post(&path, &[&format!("digest: {digest}")], b"hello")
            .await;
        assert_eq!(response.status, status, "{digest}: {}", response.text());
    }
    let response = running
        .post(
            &path,
            &["digest: sha-256=AAJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="],
            b"hello",
        )
        .await;
    assert!(
        response.text().contains("\"Sha256Mismatch\""),
        "{}",
        response.text()
    );
    running.t.advance(Duration::from_secs(3_601));
    let response = running.post(&path, &[], b"x").await;
    assert!(
        response.status == 401 && response.text().contains("StorageTokenExpired"),
        "{response:?}"
    );
    assert_eq!(running.get("/api/storage/upload", &[]).await.status, 405);
}

#[tokio::test]
async fn files_may_exceed_the_body_limit_and_slow_senders_are_cut() {
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
        "nothing remains of an incomplete upload"
    );
}

#[tokio::test]
async fn uploads_that_wait_for_their_clients_do_not_delay_others() {
    let options = ServerOptions {
        max_uploads: 1,
        max_uploads_per_token: 3,
        max_uploads_per_address: 5,
        ..ServerOptions::default()
    };
    let running = Running::start(options).await;
    let begin_upload = async |path: &str| {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let begun = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nx");
        stream.write_all(begun.as_bytes()).await.unwrap();
        stream
    };
    let empty_upload = async |path: &str| {
        let upload = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n");
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(upload.as_bytes()).await.unwrap();
        let mut response = vec![0; 4096];
        let read = stream.read(&mut response).await.unwrap();
        String::from_utf8_lossy(&response[..read]).into_owned()
    };
    let reused = running.upload_path().await;
    let mut unfinished = Vec::new();
    for _ in 0..3 {
        unfinished.push(begin_upload(&reused).await);
    }
    while empty_upload(&reused).await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
    let response = empty_upload(&reused).await;
    assert!(
        response.starts_with("HTTP/1.1 429") && response.contains("with this token"),
        "{response}"
    );
    assert_eq!(running.upload(&[], b"another").await.status, 200);
    for _ in 0..2 {
        unfinished.push(begin_upload(&running.upload_path().await).await);
    }
    let path = running.upload_path().await;
    while empty_upload(&path).await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
    let response = empty_upload(&path).await;
    assert!(
        response.starts_with("HTTP/1.1 429") && response.contains("from this address"),
        "{response}"
    );
    unfinished.clear();
    while running.upload(&[], b"later").await.status != 200 {
        tokio::task::yield_now().await;
    }
}
