//! Connections and request heads.

use std::time::Duration;

use lentil::{ActionCtx, Body, HttpRouter, Method, Request, Response, Result};
use lentil_server::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{HELLO, alone, ask, connect, impatient, rest, routes, start};

#[tokio::test]
async fn connections_are_kept_alive_and_requests_may_be_pipelined() {
    let running = start(routes(), ServerOptions::default()).await;
    let mut stream = connect(&running).await;
    for _ in 0..3 {
        assert!(ask(&mut stream, HELLO).await.ends_with("\r\n\r\nhello"));
    }
    let closing =
        format!("{HELLO}{HELLO}GET /hello HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(closing.as_bytes()).await.unwrap();
    assert_eq!(rest(&mut stream).await.matches("hello").count(), 3);
}

#[tokio::test]
async fn incomplete_head_times_out() {
    let running = start(routes(), impatient()).await;
    for beginning in ["", "P", "PRI * HTTP/2.0", "GET /hello HTTP/1.1\r\nho"] {
        let mut slow = connect(&running).await;
        slow.write_all(beginning.as_bytes()).await.unwrap();
        assert!(!rest(&mut slow).await.contains("200 OK"), "{beginning:?}");
    }
    assert!(
        ask(&mut connect(&running).await, HELLO)
            .await
            .contains("200 OK")
    );
}

#[tokio::test]
async fn response_may_take_longer_than_a_head_and_then_an_idle_connection_times_out() {
    const LONG: Duration = Duration::from_millis(400);
    async fn slow(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
        tokio::time::sleep(LONG).await;
        let late = futures_util::stream::once(async {
            tokio::time::sleep(LONG).await;
            Ok("late".into())
        });
        Ok(http::Response::new(Body::from_stream(late)).into())
    }
    let running = start(
        HttpRouter::new().route(Method::GET, "/slow", slow),
        impatient(),
    )
    .await;
    let mut stream = connect(&running).await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    let response = rest(&mut stream).await;
    assert!(
        response.contains("200 OK") && response.contains("late"),
        "{response}"
    );
}

#[tokio::test]
async fn client_that_hangs_up_after_one_byte_frees_its_slot() {
    let running = start(routes(), alone(ServerOptions::default())).await;
    let mut first = connect(&running).await;
    first.write_all(b"P").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(first);
    let answered = async { ask(&mut connect(&running).await, HELLO).await };
    let answered = tokio::time::timeout(Duration::from_secs(5), answered).await;
    assert!(answered.expect("the slot is free").ends_with("hello"));
}

#[tokio::test]
async fn head_may_arrive_byte_by_byte() {
    let running = start(routes(), ServerOptions::default()).await;
    for request in [
        HELLO.to_owned(),
        HELLO.replacen("GET /hello", "POST /repeat", 1),
        "PRI * HTTP/1.1\r\nhost: test\r\n\r\n".to_owned(),
    ] {
        let mut stream = connect(&running).await;
        stream.set_nodelay(true).unwrap();
        for byte in request.bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 "), "{request}");
    }
}

#[tokio::test]
async fn request_without_one_valid_host_is_refused_with_400_and_ends_the_connection() {
    let running = start(routes(), ServerOptions::default()).await;
    for host in ["", "host: a\r\nhost: a\r\n", "host: a b\r\n", "host:\r\n"] {
        for target in ["/hello", "http://test/hello"] {
            let mut stream = connect(&running).await;
            let sent = format!("GET {target} HTTP/1.1\r\n{host}\r\n{HELLO}");
            stream.write_all(sent.as_bytes()).await.unwrap();
            let response = rest(&mut stream).await;
            assert!(response.starts_with("HTTP/1.1 400"), "{host:?} {response}");
            assert!(response.contains("InvalidHost"), "{host:?} {response}");
            assert!(!response.contains("hello"), "{response}");
        }
    }
    let mut old = connect(&running).await;
    old.write_all(b"GET /hello HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(rest(&mut old).await.starts_with("HTTP/1.0 200"));
    let absolute = "GET http://test/hello HTTP/1.1\r\nhost: test\r\n\r\n";
    assert!(
        ask(&mut connect(&running).await, absolute)
            .await
            .ends_with("hello")
    );
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let options = ServerOptions {
        max_connections: 1,
        ..ServerOptions::default()
    };
    let running = start(routes(), options).await;
    let mut first = connect(&running).await;
    assert!(ask(&mut first, HELLO).await.contains("200 OK"));
    let mut second = connect(&running).await;
    second.write_all(HELLO.as_bytes()).await.unwrap();
    let mut buffer = [0; 16];
    let early = tokio::time::timeout(Duration::from_millis(100), second.read(&mut buffer)).await;
    assert!(early.is_err(), "the second waits while the first is open");
    drop(first);
    assert_eq!(second.read_exact(&mut buffer).await.unwrap(), 16);
}

#[tokio::test]
async fn own_paths_come_first_and_head_has_the_headers_of_get() {
    let running = start(
        routes(),
        ServerOptions {
            version: "9.9".into(),
            ..ServerOptions::default()
        },
    )
    .await;
    let get = async |method: &str, path: &str| {
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let mut stream = connect(&running).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    };
    assert!(get("GET", "/version").await.ends_with("\r\n\r\n9.9"));
    assert!(get("GET", "/healthz").await.contains("200 OK"));
    assert!(get("GET", "/http/hello").await.ends_with("hello"));
    let head = get("HEAD", "/hello").await;
    assert!(
        head.contains("200 OK") && head.contains("content-length: 5") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert!(get("GET", "/nothing").await.contains("404"));
    assert!(
        get("OPTIONS", "/hello").await.contains("404"),
        "no automatic CORS"
    );
}
