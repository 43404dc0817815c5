use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::load::jobs::add;
use crate::load::response::HttpResponse;

/// The number of subscriptions of a connection.
const SUBSCRIPTIONS_PER_CONNECTION: usize = 100;

/// The queries of the subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Same,
    Disjoint,
}

impl Kind {
    /// Returns the counter of a subscription.
    pub(crate) fn counter(self, number: usize) -> String {
        match self {
            Kind::Same => "same".to_owned(),
            Kind::Disjoint => format!("counter-{number}"),
        }
    }
}

/// Subscriptions over raw WebSockets.
pub(crate) struct Subscribers {
    changes_received: mpsc::UnboundedReceiver<(Instant, usize)>,
    /// The time until each had its first result.
    pub(crate) took: Duration,
}

impl Subscribers {
    /// Opens `count` subscriptions, a hundred over each connection, and waits for their first results.
    pub(crate) async fn open(address: SocketAddr, kind: Kind, count: usize) -> Subscribers {
        let (heard, changes_received) = mpsc::unbounded_channel();
        let began = Instant::now();
        let mut subscribers = Subscribers {
            changes_received,
            took: Duration::ZERO,
        };
        let names: Vec<String> = (0..count).map(|number| kind.counter(number)).collect();
        for names in names.chunks(SUBSCRIPTIONS_PER_CONNECTION) {
            subscribe(address, names, heard.clone()).await;
        }
        subscribers.receive(count).await;
        subscribers.took = began.elapsed();
        subscribers
    }

    /// Waits for this number of changes. Returns the time of the last.
    pub(crate) async fn receive(&mut self, count: usize) -> Instant {
        let (mut last, mut heard) = (Instant::now(), 0);
        while heard < count {
            let next =
                tokio::time::timeout(Duration::from_secs(60), self.changes_received.recv()).await;
            let (at, changes) = next
                .expect("a change arrives within a minute")
                .expect("the connections are open");
            last = at;
            heard += changes;
        }
        last
    }
}

async fn subscribe(
    address: SocketAddr,
    counters: &[String],
    heard: mpsc::UnboundedSender<(Instant, usize)>,
) {
    let mut socket = connect(address).await;
    let add = |(id, name)| serde_json::json!({"type": "Add", "queryId": id, "udfPath": "counters:get", "args": [{"name": name}]});
    let modifications: Vec<_> = counters.iter().enumerate().map(add).collect();
    let query_set = serde_json::json!({
        "type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": modifications,
    });
    send(&mut socket, &query_set).await;
    tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else {
                continue;
            };
            let changes = text.matches(r#""type":"QueryUpdated""#).count();
            if changes > 0 && heard.send((Instant::now(), changes)).is_err() {
                return;
            }
        }
    });
}

/// Opens a connection without subscriptions.
pub(crate) async fn connect(address: SocketAddr) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(address)
        .await
        .expect("the server listens");
    stream.set_nodelay(true).expect("the option exists");
    let (mut socket, _) = client_async(format!("ws://{address}/api/sync"), stream)
        .await
        .expect("it is a WebSocket");
    let session_id = "00000000-0000-4000-8000-000000000000";
    send(
        &mut socket,
        &serde_json::json!({"type": "Connect", "sessionId": session_id, "connectionCount": 0}),
    )
    .await;
    socket
}

async fn send(socket: &mut WebSocketStream<TcpStream>, message: &serde_json::Value) {
    socket
        .send(Message::text(message.to_string()))
        .await
        .expect("the server reads");
}

/// A client that commits one mutation after another while subscribers on the same thread wait.
pub(crate) struct Writer {
    stream: TcpStream,
    request: Vec<u8>,
}

impl Writer {
    pub(crate) async fn open(address: SocketAddr) -> Writer {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server listens");
        stream.set_nodelay(true).expect("the option exists");
        Writer {
            stream,
            request: Vec::new(),
        }
    }

    /// Adds to a counter.
    pub(crate) async fn add(&mut self, counter: &str) {
        self.request.clear();
        add(counter, &mut self.request);
        self.stream
            .write_all(&self.request)
            .await
            .expect("the server reads");
        let mut response = Vec::new();
        let response = loop {
            self.stream
                .read_buf(&mut response)
                .await
                .expect("the server responds");
            if let Some(response) = HttpResponse::parse(&response) {
                break response;
            }
        };
        assert_eq!(response.status, 200, "the commit succeeds");
    }
}
