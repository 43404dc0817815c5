//! Bodies: their length, their end, and the time that they may take.

use std::time::Duration;

use lentil::{ActionCtx, HttpRouter, Method, Request, Response, Result, StatusCode};
use lentil_server::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{BIG_BYTES, HELLO, alone, ask, connect, impatient, rest, routes, start};

#[tokio::test]
async fn slowly_read_response_arrives_completely() {
    let options = ServerOptions {
        progress_timeout: Duration::from_secs(10),
        ..impatient()
    };
    let running = start(routes(), options).await;
    let mut slow = connect(&running).await;
    slow.write_all(b"GET /big HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    let mut received = 0;
    let mut buffer = vec![0; 200_000];
    // Reading takes several times the head timeout.
    while received < BIG_BYTES {
        let read = slow.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the server hangs up after {received} bytes");
        received += read;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn client_that_reads_nothing_of_its_response_is_cut() {
    let options = ServerOptions {
        progress_timeout: Duration::from_millis(300),
        ..ServerOptions::default()
    };
    let running = start(routes(), alone(options)).await;
    let mut deaf = connect(&running).await;
    deaf.write_all(b"GET /big HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    let mut next = connect(&running).await;
    assert!(ask(&mut next, HELLO).await.ends_with("hello"));
    assert!(rest(&mut deaf).await.len() < BIG_BYTES);
}

#[tokio::test]
async fn client_is_not_late_while_the_function_does_not_read() {
    async fn hesitate(_ctx: &ActionCtx, request: Request) -> Result<Response> {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        Ok(Response::text(StatusCode::OK, request.text().await?))
    }
    let options = ServerOptions {
        progress_timeout: Duration::from_millis(700),
        progress_grace: Duration::from_millis(700),
        ..ServerOptions::default()
    };
    let routes = HttpRouter::new().route(Method::POST, "/hesitate", hesitate);
    let running = start(routes, options).await;
    let mut stream = connect(&running).await;
    let body = "x".repeat(300_000);
    let request = format!(
        "POST /hesitate HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 300000\r\n\r\n{body}"
    );
    let (mut reader, mut writer) = stream.split();
    let mut response = String::new();
    let (written, read) = tokio::join!(
        writer.write_all(request.as_bytes()),
        reader.read_to_string(&mut response)
    );
    written.unwrap();
    read.unwrap();
    assert!(response.ends_with(&body));
}

#[tokio::test]
async fn stalled_body_is_refused_with_408() {
    let running = start(routes(), impatient()).await;
    let mut slow = connect(&running).await;
    slow.write_all(b"POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf")
        .await
        .unwrap();
    let response = rest(&mut slow).await;
    assert!(
        response.starts_with("HTTP/1.1 408") && response.contains("too slowly"),
        "{response}"
    );
}

#[tokio::test]
async fn trickling_body_is_cut_although_each_byte_is_in_time() {
    let options = ServerOptions {
        progress_grace: Duration::from_millis(200),
        ..ServerOptions::default()
    };
    let running = start(routes(), options).await;
    let mut slow = connect(&running).await;
    slow.write_all(b"POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\n")
        .await
        .unwrap();
    let (mut reader, mut writer) = slow.split();
    let drip = async {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut response = vec![0; 12];
    let answered = tokio::select! {
        read = reader.read_exact(&mut response) => read.is_ok(),
        () = drip => false,
    };
    assert!(
        answered && response == b"HTTP/1.1 408",
        "{}",
        String::from_utf8_lossy(&response)
    );
}

#[tokio::test]
async fn body_over_the_limit_is_refused_with_413_before_it_arrives() {
    let options = ServerOptions {
        max_body_bytes: 1_000,
        ..ServerOptions::default()
    };
    let running = start(routes(), options).await;
    let mut stream = connect(&running).await;
    stream
        .write_all(b"POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: 1001\r\n\r\n")
        .await
        .unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 413"));
    let mut chunked = connect(&running).await;
    let body = "x".repeat(1_001);
    let sent = format!(
        "POST /repeat HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{body}\r\n0\r\n\r\n"
    );
    assert!(ask(&mut chunked, &sent).await.starts_with("HTTP/1.1 413"));
    for (length, status) in [("18446744073709551613", 413), ("18446744073709551615", 431)] {
        let mut stream = connect(&running).await;
        let sent =
            format!("POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(sent.as_bytes()).await.unwrap();
        let response = rest(&mut stream).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status}")),
            "{length}: {response}"
        );
    }
    let exact = format!(
        "POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n{}",
        "x".repeat(1_000)
    );
    assert!(
        ask(&mut connect(&running).await, &exact)
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn refused_client_can_send_on_and_reads_the_response() {
    let running = start(
        routes(),
        ServerOptions {
            max_body_bytes: 10,
            ..ServerOptions::default()
        },
    )
    .await;
    let mut stream = connect(&running).await;
    stream
        .write_all(b"POST /repeat HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
        .await
        .unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    assert!(response.starts_with(b"HTTP/1.1 413"));
    // The server has sent its response. If it had closed the socket, these bytes would reset the
    // connection.
    for _ in 0..10 {
        stream.write_all(&[b'x'; 10_000]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A request with a chunked body `ok` and also a length. Behind it is a request that only another
/// parser would see.
fn ambiguous(path: &str, lengths: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: test\r\n{lengths}\r\n\r\n2\r\nok\r\n0\r\n\r\n{HELLO}")
}

const BOTH_LENGTHS: [&str; 3] = [
    "content-length: 3\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\ncontent-length: 3",
    "Content-Length: 3\r\nx: y\r\nContent-Length: 3\r\nTRANSFER-ENCODING: chunked",
];

#[tokio::test]
async fn chunked_body_with_a_length_gets_one_response_and_ends_the_connection() {
    let running = start(routes(), ServerOptions::default()).await;
    let clean = "POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nclean";
    for lengths in BOTH_LENGTHS {
        for (before, responses) in [("", 1), (HELLO, 2), (clean, 2)] {
            let mut stream = connect(&running).await;
            let sent = format!("{before}{}", ambiguous("/repeat", lengths));
            stream.write_all(sent.as_bytes()).await.unwrap();
            let response = rest(&mut stream).await;
            assert_eq!(
                response.matches("HTTP/1.1 200").count(),
                responses,
                "{response}"
            );
            assert!(response.ends_with("\r\n\r\nok"), "{response}");
        }
    }
}

#[tokio::test]
async fn nothing_after_a_refused_ambiguous_body_is_a_request() {
    async fn refuse(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
        Ok(Response::text(StatusCode::UNAUTHORIZED, "no"))
    }
    let options = ServerOptions {
        max_body_bytes: 1,
        ..ServerOptions::default()
    };
    let routes = routes().route(Method::POST, "/refuse", refuse);
    let running = start(routes, options).await;
    for lengths in BOTH_LENGTHS {
        for (path, status) in [("/refuse", "401"), ("/repeat", "413"), ("/nothing", "404")] {
            let mut stream = connect(&running).await;
            let sent = ambiguous(path, lengths);
            stream.write_all(sent.as_bytes()).await.unwrap();
            let response = rest(&mut stream).await;
            assert!(
                response.starts_with(&format!("HTTP/1.1 {status}")),
                "{response}"
            );
            assert_eq!(response.matches("HTTP/1.1").count(), 1, "{response}");
        }
    }
}

#[tokio::test]
async fn unread_rest_of_a_refused_body_is_not_a_request() {
    async fn refuse(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
        Ok(Response::text(StatusCode::UNAUTHORIZED, "no"))
    }
    let routes = routes().route(Method::POST, "/refuse", refuse);
    let running = start(routes, ServerOptions::default()).await;
    // The body looks like a request, complete or incomplete.
    for length in [HELLO.len(), 100_000] {
        let mut stream = connect(&running).await;
        let head =
            format!("POST /refuse HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n");
        stream
            .write_all(format!("{head}{HELLO}").as_bytes())
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        let response = rest(&mut stream).await;
        assert!(response.starts_with("HTTP/1.1 401"), "{response}");
        assert!(!response.contains("hello"), "{response}");
    }
    let inside = "content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut stream = connect(&running).await;
    let clean = format!(
        "POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{inside}",
        inside.len()
    );
    for _ in 0..3 {
        let response = ask(&mut stream, &clean).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }
}
