//! A provider on a real socket.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves responses that the test sets, and counts requests.
#[derive(Clone)]
pub(crate) struct Provider {
    address: SocketAddr,
    served: Arc<Mutex<Served>>,
}

#[derive(Default)]
struct Served {
    /// By path: status, further headers, body.
    responses: HashMap<String, (u16, String, String)>,
    requests: HashMap<String, usize>,
    delay: Duration,
}

pub(crate) const DISCOVERY: &str = "/.well-known/openid-configuration";
pub(crate) const JWKS: &str = "/jwks.json";

impl Provider {
    /// Starts an OpenID Connect provider with these keys.
    pub(crate) async fn start(jwks: &Json) -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Provider {
            address: listener.local_addr().unwrap(),
            served: Arc::default(),
        };
        let discovery = json!({"issuer": provider.issuer(), "jwks_uri": provider.url(JWKS)});
        provider.serve(DISCOVERY, 200, "", &discovery.to_string());
        provider.publish(jwks);
        let accepting = provider.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().respond(stream));
            }
        });
        provider
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer())
    }

    pub(crate) fn publish(&self, jwks: &Json) {
        self.serve(JWKS, 200, "", &jwks.to_string());
    }

    /// Serves this response for a path. Each header ends with a line break.
    pub(crate) fn serve(&self, path: &str, status: u16, headers: &str, body: &str) {
        self.served.lock().responses.insert(
            path.to_owned(),
            (status, headers.to_owned(), body.to_owned()),
        );
    }

    /// Serves every path with status 500.
    pub(crate) fn fail(&self) {
        for (status, _, _) in self.served.lock().responses.values_mut() {
            *status = 500;
        }
    }

    /// Waits for a time before each response.
    pub(crate) fn takes(&self, time: Duration) {
        self.served.lock().delay = time;
    }

    /// Returns the number of requests for a path.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.served
            .lock()
            .requests
            .get(path)
            .copied()
            .unwrap_or_default()
    }

    async fn respond(self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                // A TLS handshake begins with this byte. The provider does not support TLS.
                Err(_) | Ok(0x16) => return,
                Ok(byte) => head.push(byte),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let (response, takes) = {
            let mut served = self.served.lock();
            *served.requests.entry(path.clone()).or_default() += 1;
            (served.responses.get(&path).cloned(), served.delay)
        };
        tokio::time::sleep(takes).await;
        let (status, headers, body) = response.unwrap_or((404, String::new(), String::new()));
        let length = body.len();
        let text =
            format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        // A client that has received enough hangs up.
        let _ = stream.write_all(text.as_bytes()).await;
    }
}
