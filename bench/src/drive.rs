use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::KEY;

/// What is asked of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Jobs that exist.
    Get,
    /// Jobs that are new.
    PostNew,
    /// One job, over and over.
    PostHot,
}

/// One row of the measurement.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) load: Load,
    pub(crate) connections: usize,
}

/// What a moment of driving came to.
pub(crate) struct Driven {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) seconds: f64,
    /// Microseconds.
    pub(crate) latency: Histogram<u64>,
}

const JOBS: u64 = 512;
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Drives a server: each connection sends its next request when the last is answered.
pub(crate) async fn drive(address: SocketAddr, cell: &Cell, moment: Duration) -> Driven {
    if cell.load == Load::Get {
        let mut connection = Connection::open(address).await;
        for job in 0..JOBS {
            assert_eq!(connection.ask(&post(&format!("known-{job}"))).await, Some(200), "the jobs to get are there");
        }
    }
    let began = Instant::now();
    let drivers: Vec<_> =
        (0..cell.connections).map(|_| tokio::spawn(drive_one(address, cell.load, began + moment))).collect();
    let mut total = Driven { requests: 0, errors: 0, seconds: 0.0, latency: histogram() };
    for driver in drivers {
        let driven = driver.await.expect("a driver does not panic");
        total.requests += driven.requests;
        total.errors += driven.errors;
        total.latency.add(driven.latency).expect("the histograms are alike");
    }
    total.seconds = began.elapsed().as_secs_f64();
    total
}

async fn drive_one(address: SocketAddr, load: Load, until: Instant) -> Driven {
    let mut driven = Driven { requests: 0, errors: 0, seconds: 0.0, latency: histogram() };
    let mut connection = Connection::open(address).await;
    while Instant::now() < until {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let request = match load {
            Load::Get => get(&format!("known-{}", number % JOBS)),
            Load::PostNew => post(&format!("new-{number}")),
            Load::PostHot => post("hot"),
        };
        let began = Instant::now();
        let status = connection.ask(&request).await;
        driven.latency.saturating_record(began.elapsed().as_micros() as u64);
        driven.requests += 1;
        driven.errors += u64::from(status != Some(200));
    }
    driven
}

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are sound")
}

fn get(job_id: &str) -> String {
    format!("GET /api/job?id={job_id} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\n\r\n")
}

fn post(job_id: &str) -> String {
    let stage = NEXT.fetch_add(1, Ordering::Relaxed);
    let body = format!(
        r#"{{"jobId":"{job_id}","idea":"an app that counts the birds in my garden and draws them","username":"ada","status":"processing","stage":"stage-{stage}","createdAt":1767225600000}}"#
    );
    let length = body.len();
    format!(
        "POST /api/job HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// A connection with the least a client can do: nothing here should be what is measured.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("the option exists");
        Connection { stream, buffer: vec![0; 16 << 10] }
    }

    /// Sends a request and reads all of its answer; `None` when the server hangs up.
    pub(crate) async fn ask(&mut self, request: &str) -> Option<u16> {
        self.stream.write_all(request.as_bytes()).await.ok()?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await.ok().filter(|read| *read > 0)?;
            filled += read;
            let text = &self.buffer[..filled];
            let Some(head_end) = text.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&text[..head_end]).ok()?.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            if filled >= head_end + 4 + length.unwrap_or(0) {
                return head.get(9..12)?.parse().ok();
            }
        }
    }
}
