//! The shutdown: running requests finish, and idle or slow clients do not hold it up.

use std::sync::Arc;
use std::time::Duration;

use lentil::{ActionCtx, HttpRouter, Method, Request, Response, Result, StatusCode};
use lentil_server::{Drained, ServerOptions};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::http2::Client;
use crate::{HELLO, ask, connect, rest, routes, start};

/// Far less than the drain timeout.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn idle_clients_do_not_hold_up_the_shutdown() {
    let options = ServerOptions {
        drain_timeout: Duration::from_secs(60),
        ..ServerOptions::default()
    };
    let running = start(routes(), options).await;
    let mut clients = Vec::new();
    for beginning in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n",
        "GET /hello HTTP/1.1\r\nhost: te",
        "POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf",
        "POST /repeat HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n5",
        "GET /big HTTP/1.1\r\nhost: test\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n",
    ] {
        let mut client = connect(&running).await;
        client.write_all(beginning.as_bytes()).await.unwrap();
        clients.push(client);
    }
    let mut kept = connect(&running).await;
    assert!(ask(&mut kept, HELLO).await.ends_with("hello"));
    let idle = Client::connect(&running, 1 << 20).await;
    let mut closed_window = Client::connect(&running, 0).await;
    closed_window.request(1, "GET", "/big", 1).await;
    let mut half_body = Client::connect(&running, 1 << 20).await;
    half_body.request(1, "POST", "/repeat", 0).await;
    // All bytes reach the server before it shuts down.
    tokio::time::sleep(Duration::from_millis(200)).await;
    running.stop.send(()).unwrap();
    let served = tokio::time::timeout(SOON, running.served).await;
    let drained = served.expect("the server shuts down soon").unwrap();
    assert_eq!(drained, Drained { cut: 0 });
    drop((clients, kept, idle, closed_window, half_body));
}

#[tokio::test]
async fn trickling_body_does_not_hold_up_the_shutdown() {
    let options = ServerOptions {
        drain_timeout: Duration::from_secs(60),
        min_bytes_per_second: 1,
        ..ServerOptions::default()
    };
    let running = start(routes(), options).await;
    let client = connect(&running).await;
    let (mut reader, mut writer) = client.into_split();
    let head = b"POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\n";
    writer.write_all(head).await.unwrap();
    let trickle = tokio::spawn(async move {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    running.stop.send(()).unwrap();
    let response = rest(&mut reader).await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    let served = tokio::time::timeout(SOON, running.served).await;
    let drained = served.expect("the server shuts down soon").unwrap();
    assert_eq!(drained, Drained { cut: 0 });
    trickle.await.unwrap();
}

#[tokio::test]
async fn running_request_finishes_during_the_shutdown_and_new_ones_are_refused() {
    let begun = Arc::new(Notify::new());
    let finish = Arc::new(Notify::new());
    let slow = {
        let begun = Arc::clone(&begun);
        let finish = Arc::clone(&finish);
        move |_ctx: &ActionCtx, _request: Request| {
            let begun = Arc::clone(&begun);
            let finish = Arc::clone(&finish);
            async move {
                begun.notify_one();
                finish.notified().await;
                Ok(Response::text(StatusCode::OK, "finished"))
            }
        }
    };
    let running = start(
        HttpRouter::new().route(Method::GET, "/slow", slow),
        ServerOptions::default(),
    )
    .await;
    let mut stream = connect(&running).await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    begun.notified().await;
    running.stop.send(()).unwrap();
    while TcpStream::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    finish.notify_one();
    assert!(rest(&mut stream).await.ends_with("finished"));
    assert_eq!(running.served.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn request_that_does_not_finish_is_cut_at_the_deadline() {
    async fn forever(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
        std::future::pending().await
    }
    let options = ServerOptions {
        drain_timeout: Duration::from_millis(100),
        ..ServerOptions::default()
    };
    let running = start(
        HttpRouter::new().route(Method::GET, "/forever", forever),
        options,
    )
    .await;
    let mut stream = connect(&running).await;
    stream
        .write_all(b"GET /forever HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.stop.send(()).unwrap();
    assert_eq!(running.served.await.unwrap(), Drained { cut: 1 });
}
