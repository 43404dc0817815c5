//! Slow clients, in paused time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::application::Running;

const TEXT: u8 = 0x81;
const BEGINNING_OF_TEXT: u8 = 0x01;
const PING: u8 = 0x89;
const CLOSE: u8 = 0x88;

/// Connects a WebSocket and returns its stream, to write bytes one by one.
async fn connect(server: &Running) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let upgrade = "GET /api/sync HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        response.push(stream.read_u8().await.unwrap());
    }
    assert!(response.starts_with(b"HTTP/1.1 101"));
    stream
}

/// Returns a frame with the mask 0.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_be_bytes();
    [&[first, 0x80 | 127], &length[..], &[0; 4], payload].concat()
}

fn ping() -> Vec<u8> {
    vec![PING, 0x80, 0, 0, 0, 0]
}

const CONNECT: &[u8] = br#"{"type":"Connect","sessionId":"00000000-0000-0000-0000-000000000001","connectionCount":0,"lastCloseReason":null}"#;

/// Reads until the close frame. Returns its payload.
async fn close_frame(stream: &mut TcpStream) -> Vec<u8> {
    loop {
        let first = stream.read_u8().await.unwrap();
        let length = stream.read_u8().await.unwrap();
        let length = match length {
            126 => u64::from(stream.read_u16().await.unwrap()),
            127 => stream.read_u64().await.unwrap(),
            length => length.into(),
        };
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
        if first == CLOSE {
            return payload;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn client_without_connect_is_closed() {
    let server = Running::start().await;
    let mut stream = connect(&server).await;
    let began = Instant::now();
    let closed = timeout(Duration::from_secs(60), close_frame(&mut stream)).await;
    let closed = closed.expect("the server closes");
    assert!(closed.starts_with(b"\x03\xeaConnectTimeout"), "{closed:?}");
    assert!(
        began.elapsed() >= Duration::from_secs(29),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn pings_are_not_progress_of_a_message() {
    let server = Running::start().await;
    let mut stream = connect(&server).await;
    stream.write_all(&frame(TEXT, CONNECT)).await.unwrap();
    stream
        .write_all(&frame(BEGINNING_OF_TEXT, b"{\"type\":"))
        .await
        .unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let pinging = tokio::spawn(async move {
        while writer.write_all(&ping()).await.is_ok() {
            sleep(Duration::from_secs(5)).await;
        }
    });
    let mut said = Vec::new();
    let closed = timeout(Duration::from_secs(60), reader.read_to_end(&mut said)).await;
    assert!(closed.is_ok(), "the server closes");
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("InactiveClient"), "{said:?}");
    pinging.abort();
}

#[tokio::test(start_paused = true)]
async fn slow_message_is_accepted() {
    let server = Running::start().await;
    let mut stream = connect(&server).await;
    stream.write_all(&frame(TEXT, CONNECT)).await.unwrap();
    let padding = "x".repeat(240_000);
    let message = format!(r#"{{"type":"Dance","with":"{padding}"}}"#);
    // Each pause is half of the limit, and together they exceed the inactivity timeout. The first
    // part counts for the average rate.
    for part in frame(TEXT, message.as_bytes()).chunks(20_000) {
        stream.write_all(part).await.unwrap();
        sleep(Duration::from_secs(15)).await;
    }
    let mut response = [0; 4096];
    let mut said = String::new();
    while !said.contains("FatalError") {
        let read = stream.read(&mut response).await.unwrap();
        assert_ne!(read, 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&response[..read]));
    }
    assert!(said.contains("unknown variant `Dance`"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn pinging_client_does_not_hold_up_the_shutdown() {
    let server = Running::start().await;
    let mut stream = connect(&server).await;
    stream.write_all(&frame(TEXT, CONNECT)).await.unwrap();
    let (_reader, mut writer) = stream.into_split();
    let pinging = tokio::spawn(async move {
        while writer.write_all(&ping()).await.is_ok() {
            sleep(Duration::from_millis(500)).await;
        }
    });
    sleep(Duration::from_secs(1)).await;
    let ended = timeout(Duration::from_secs(3), server.end()).await;
    assert!(ended.is_ok(), "the server ends soon");
    pinging.abort();
}
