use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::load::drive::histogram;

/// Connections in a closed loop for requests and responses of any length. They need more CPU than
/// the generator of `drive.rs`.
pub(crate) struct Clients(Vec<SendRequest<Full<Bytes>>>);

/// The result of driving clients for a moment.
pub(crate) struct ClientStats {
    /// In nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// The bytes of response bodies.
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

impl ClientStats {
    pub(crate) fn per_second(&self) -> f64 {
        self.latency.len() as f64 / self.seconds
    }
}

impl Clients {
    pub(crate) async fn connect(address: SocketAddr, count: usize) -> Clients {
        let mut clients = Vec::new();
        for _ in 0..count {
            let stream = TcpStream::connect(address)
                .await
                .expect("the server accepts connections");
            stream
                .set_nodelay(true)
                .expect("a connection can be set up");
            let (client, connection) = handshake(TokioIo::new(stream))
                .await
                .expect("the server speaks HTTP");
            tokio::spawn(connection);
            clients.push(client);
        }
        Clients(clients)
    }

    /// Sends a request over the first connection and reads the whole response.
    pub(crate) async fn send_one(&mut self, request: Request<Full<Bytes>>) -> Bytes {
        let response = send(&mut self.0[0], request).await;
        response
            .into_body()
            .collect()
            .await
            .expect("the response is complete")
            .to_bytes()
    }

    /// Sends requests over all connections until the end time, or until no request is left.
    pub(crate) async fn drive(
        &mut self,
        moment: Duration,
        requests: impl Iterator<Item = Request<Full<Bytes>>>,
    ) -> ClientStats {
        let asked = RefCell::new(ClientStats {
            latency: histogram(),
            bytes: 0,
            seconds: 0.0,
        });
        let (requests, began) = (RefCell::new(requests), Instant::now());
        join_all(self.0.iter_mut().map(async |client| {
            while began.elapsed() < moment {
                let Some(request) = requests.borrow_mut().next() else {
                    break;
                };
                let sent = Instant::now();
                let mut body = send(client, request).await.into_body();
                let mut bytes = 0;
                while let Some(frame) = body.frame().await {
                    bytes += frame
                        .expect("the response is complete")
                        .data_ref()
                        .map_or(0, Bytes::len) as u64;
                }
                let mut asked = asked.borrow_mut();
                asked
                    .latency
                    .saturating_record(sent.elapsed().as_nanos() as u64);
                asked.bytes += bytes;
            }
        }))
        .await;
        ClientStats {
            seconds: began.elapsed().as_secs_f64(),
            ..asked.into_inner()
        }
    }
}

async fn send(
    client: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Response<Incoming> {
    client
        .ready()
        .await
        .expect("the server keeps the connection");
    let what = request.uri().clone();
    let response = client
        .send_request(request)
        .await
        .expect("the server responds");
    assert_eq!(response.status(), 200, "{what}");
    response
}
