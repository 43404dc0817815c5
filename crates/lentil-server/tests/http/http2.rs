//! HTTP/2 with hand-made frames, which no well-behaved client would send.

use std::time::Duration;

use lentil_server::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{BIG_BYTES, Running, connect, impatient, routes, start};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A client that sends the test's frames.
pub(crate) struct Client(TcpStream);

impl Client {
    /// Connects with this window for each stream.
    pub(crate) async fn connect(running: &Running, window: u32) -> Client {
        let mut client = Client(connect(running).await);
        client
            .0
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let setting = [&4_u16.to_be_bytes()[..], &window.to_be_bytes()].concat();
        client.send(SETTINGS, 0, 0, &setting).await;
        client
            .send(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes())
            .await;
        client
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = (payload.len() as u32).to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write_all(&[&head, payload].concat()).await.unwrap();
    }

    /// Sends a request head. `flags` tell whether a body follows.
    pub(crate) async fn request(&mut self, stream: u32, method: &str, path: &str, flags: u8) {
        let mut head = Vec::new();
        // Names 2, 6, 4 and 1 of the static table: `:method`, `:scheme`, `:path`, `:authority`.
        for (name, value) in [(2, method), (6, "http"), (4, path), (1, "test")] {
            head.extend([name, value.len() as u8]);
            head.extend(value.as_bytes());
        }
        self.send(HEADERS, flags | END_HEADERS, stream, &head).await;
    }

    async fn receive(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        let whole = async {
            self.0.read_exact(&mut head).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await?;
            std::io::Result::Ok(payload)
        };
        let payload = tokio::time::timeout(Duration::from_secs(20), whole);
        let payload = payload.await.expect("the server sends something").ok()?;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap()) & !(1 << 31);
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        })
    }

    /// Reads until the stream ends. Returns the number of bytes of its body, and whether it was
    /// reset. Opens the connection's window for each frame, which is not progress of the stream.
    async fn end_of(&mut self, stream: u32) -> (usize, bool) {
        let mut bytes = 0;
        loop {
            let frame = self.receive().await.expect("the connection is open");
            if frame.kind == DATA {
                bytes += frame.payload.len();
                self.send(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()).await;
            }
            if frame.stream == stream && frame.kind == RST_STREAM {
                return (bytes, true);
            }
            if frame.stream == stream && frame.flags & END_STREAM != 0 && frame.kind <= HEADERS {
                return (bytes, false);
            }
        }
    }

    /// Pings until the stream ends.
    async fn ping_until_end_of(&mut self, stream: u32) -> (usize, bool) {
        for _ in 0..1_000 {
            self.send(PING, 0, 0, &[0; 8]).await;
            let frame = self.receive().await.expect("the connection is open");
            if frame.stream == stream && frame.kind == RST_STREAM {
                return (0, true);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the stream does not end");
    }
}

fn impatient_with_bodies() -> ServerOptions {
    ServerOptions {
        progress_timeout: Duration::from_secs(1),
        ..ServerOptions::default()
    }
}

#[tokio::test]
async fn stream_with_a_closed_window_is_reset_and_others_are_not() {
    let running = start(routes(), impatient_with_bodies()).await;
    let mut client = Client::connect(&running, 0).await;
    client.request(1, "GET", "/big", END_STREAM).await;
    assert_eq!(client.ping_until_end_of(1).await, (0, true));
    client.request(3, "GET", "/hello", END_STREAM).await;
    client.send(WINDOW_UPDATE, 0, 3, &5_u32.to_be_bytes()).await;
    assert_eq!(client.end_of(3).await, (5, false));
}

#[tokio::test]
async fn opening_the_window_in_steps_is_progress() {
    let running = start(routes(), impatient_with_bodies()).await;
    let mut client = Client::connect(&running, 0).await;
    client.request(1, "GET", "/big", END_STREAM).await;
    let mut received = 0;
    while received < BIG_BYTES {
        let step = (BIG_BYTES - received).min(200_000);
        client
            .send(WINDOW_UPDATE, 0, 1, &(step as u32).to_be_bytes())
            .await;
        let goal = received + step;
        while received < goal {
            let frame = client.receive().await.expect("the connection is open");
            assert_ne!(frame.kind, RST_STREAM, "after {received} bytes");
            if frame.kind == DATA {
                received += frame.payload.len();
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn empty_frames_are_not_progress_of_a_body() {
    let running = start(routes(), impatient_with_bodies()).await;
    let mut client = Client::connect(&running, 1 << 20).await;
    client.request(1, "POST", "/repeat", 0).await;
    let mut status = None;
    for _ in 0..1_000 {
        client.send(DATA, 0, 1, b"").await;
        client.send(PING, 0, 0, &[0; 8]).await;
        let frame = client.receive().await.expect("the connection is open");
        if frame.stream == 1 {
            status = Some((frame.kind, frame.payload.first().copied()));
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // `:status` as a literal: 400 would stand in the static table.
    assert_eq!(
        status,
        Some((HEADERS, Some(0x48))),
        "the body is answered 408"
    );
}

#[tokio::test]
async fn idle_http2_connection_times_out() {
    let running = start(routes(), impatient()).await;
    let mut client = Client::connect(&running, 1 << 20).await;
    let mut has_gone_away = false;
    while let Some(frame) = client.receive().await {
        has_gone_away |= frame.kind == GOAWAY;
        if frame.kind == PING && frame.flags == 0 {
            client.send(PING, 1, 0, &frame.payload).await;
        }
    }
    assert!(has_gone_away);
}
