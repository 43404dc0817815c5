//! Live queries: how long a commit takes to reach its subscribers, and what subscribers cost those it does not reach.
//!
//! One `testapp` with SQLite; subscribers over raw WebSockets, a hundred queries each; commits one after another over
//! HTTP, each when all that it touches have heard of the last.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::drive::{Connection, histogram};
use crate::servers::Server;

const QUERIES_EACH: usize = 100;
const COMMITS: usize = 200;

/// Whether the subscriptions are one query, or each its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Same,
    Disjoint,
}

pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        println!("| subscriptions | commit to its client: p50 ms | p99 ms | to the last: p50 ms | p99 ms |");
        println!("|---|---|---|---|---|");
        for kind in [Kind::Same, Kind::Disjoint] {
            for count in [1, 100, 10_000] {
                let server = Server::testapp(&folder.path().join(format!("{kind:?}-{count}")));
                latency(&server, kind, count).await;
            }
        }
        println!();
        untouched(folder.path()).await;
        println!();
        memory(folder.path()).await;
    });
}

/// The counter that a subscription looks at.
fn counter(kind: Kind, number: usize) -> String {
    match kind {
        Kind::Same => "same".to_owned(),
        Kind::Disjoint => format!("counter-{number}"),
    }
}

/// A connection that has subscribed, and tells of each transition with a change: how many changes it holds.
async fn subscribe(address: SocketAddr, counters: Vec<String>, heard: mpsc::UnboundedSender<(Instant, usize)>) {
    let mut socket = connect(address).await;
    let modifications: Vec<_> = counters
        .iter()
        .enumerate()
        .map(|(id, name)| {
            serde_json::json!({"type": "Add", "queryId": id, "udfPath": "counters:get", "args": [{"name": name}]})
        })
        .collect();
    send(
        &mut socket,
        &serde_json::json!({
            "type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": modifications,
        }),
    )
    .await;
    tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let changes = text.matches(r#""type":"QueryUpdated""#).count();
            if changes > 0 && heard.send((Instant::now(), changes)).is_err() {
                return;
            }
        }
    });
}

async fn connect(address: SocketAddr) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("the option exists");
    let (mut socket, _) = client_async(format!("ws://{address}/api/sync"), stream).await.expect("it is a WebSocket");
    let session_id = "00000000-0000-4000-8000-000000000000";
    send(&mut socket, &serde_json::json!({"type": "Connect", "sessionId": session_id, "connectionCount": 0})).await;
    socket
}

async fn send(socket: &mut WebSocketStream<TcpStream>, message: &serde_json::Value) {
    socket.send(Message::text(message.to_string())).await.expect("the server reads");
}

fn add(name: &str) -> String {
    let body = format!(r#"{{"path":"counters:add","args":{{"name":"{name}","by":{{"$integer":"AQAAAAAAAAA="}}}}}}"#);
    format!(
        "POST /api/mutation HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Opens `count` subscriptions and waits until each has its first answer.
async fn subscribers(
    address: SocketAddr,
    kind: Kind,
    count: usize,
) -> (mpsc::UnboundedReceiver<(Instant, usize)>, Duration) {
    let (heard, mut hears) = mpsc::unbounded_channel();
    let began = Instant::now();
    let names: Vec<String> = (0..count).map(|number| counter(kind, number)).collect();
    for names in names.chunks(QUERIES_EACH) {
        subscribe(address, names.to_vec(), heard.clone()).await;
    }
    hear(&mut hears, count).await;
    (hears, began.elapsed())
}

/// Waits for this many changes; when the first and the last came.
async fn hear(hears: &mut mpsc::UnboundedReceiver<(Instant, usize)>, count: usize) -> (Instant, Instant) {
    let (mut first, mut last, mut heard) = (None, Instant::now(), 0);
    while heard < count {
        let next = tokio::time::timeout(Duration::from_secs(60), hears.recv()).await;
        let (at, changes) = next.expect("a change is told within a minute").expect("subscribers live");
        first.get_or_insert(at);
        last = at;
        heard += changes;
    }
    (first.unwrap_or(last), last)
}

async fn latency(server: &Server, kind: Kind, count: usize) {
    let (mut hears, _) = subscribers(server.address(), kind, count).await;
    let mut writer = Connection::open(server.address()).await;
    let (mut to_first, mut to_last) = (histogram(), histogram());
    let touched = if kind == Kind::Same { count } else { 1 };
    for commit in 0..COMMITS {
        let began = Instant::now();
        let name = counter(kind, commit * 7 % count);
        assert_eq!(writer.ask(&add(&name)).await, Some(200), "the commit succeeds");
        let (first, last) = hear(&mut hears, touched).await;
        to_first.saturating_record((first - began).as_micros() as u64);
        to_last.saturating_record((last - began).as_micros() as u64);
    }
    let ms = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    println!(
        "| {count} {kind:?} | {:.2} | {:.2} | {:.2} | {:.2} |",
        ms(&to_first, 0.5),
        ms(&to_first, 0.99),
        ms(&to_last, 0.5),
        ms(&to_last, 0.99)
    );
}

/// Commits that touch none of ten thousand subscriptions, beside commits with none subscribed, in turns.
async fn untouched(folder: &Path) {
    let (alone, watched) = (Server::testapp(&folder.join("alone")), Server::testapp(&folder.join("watched")));
    let _hears = subscribers(watched.address(), Kind::Disjoint, 10_000).await;
    let mut rows: Vec<(f64, f64, f64, f64)> = Vec::new();
    for _ in 0..7 {
        let mut row = Vec::new();
        for server in [&alone, &watched] {
            let (cpu, began) = (server.cpu_seconds(), Instant::now());
            let writers: Vec<_> = (0..16)
                .map(|writer| {
                    let address = server.address();
                    tokio::spawn(async move {
                        let mut connection = Connection::open(address).await;
                        for commit in 0..500 {
                            let name = format!("elsewhere-{writer}-{}", commit % 50);
                            assert_eq!(connection.ask(&add(&name)).await, Some(200));
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.await.expect("a writer does not panic");
            }
            let commits = 16.0 * 500.0;
            row.push((began.elapsed().as_secs_f64() * 1e6 / commits, (server.cpu_seconds() - cpu) * 1e6 / commits));
        }
        rows.push((row[0].0, row[0].1, row[1].0, row[1].1));
    }
    let median = |pick: fn(&(f64, f64, f64, f64)) -> f64| {
        let mut numbers: Vec<f64> = rows.iter().map(pick).collect();
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    println!("A commit that touches no subscription, 16 writers, medians of {} rounds:", rows.len());
    println!("| | µs a commit | CPU µs a commit |\n|---|---|---|");
    println!("| none subscribed | {:.1} | {:.1} |", median(|row| row.0), median(|row| row.1));
    println!("| 10,000 subscribed | {:.1} | {:.1} |", median(|row| row.2), median(|row| row.3));
}

/// What an idle connection takes, and a subscription.
async fn memory(folder: &Path) {
    const IDLE: usize = 2_000;
    let server = Server::testapp(&folder.join("memory"));
    let before = server.resident_kib();
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        idle.push(connect(server.address()).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let connected = server.resident_kib();
    let (_hears, took) = subscribers(server.address(), Kind::Disjoint, 10_000).await;
    let subscribed = server.resident_kib();
    println!("an idle connection takes {:.1} KiB", (connected - before) as f64 / IDLE as f64);
    println!(
        "a subscription takes {:.1} KiB (10,000 distinct ones over 100 connections, with the cache of their answers)",
        (subscribed - connected) as f64 / 10_000.0
    );
    println!("10,000 distinct subscriptions were first answered in {:.0} ms", took.as_secs_f64() * 1e3);
}
