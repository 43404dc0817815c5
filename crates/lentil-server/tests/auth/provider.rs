//! A provider on a real socket.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves what it is told to, and counts what it is asked for.
#[derive(Clone)]
pub(crate) struct Provider {
    address: SocketAddr,
    served: Arc<Mutex<Served>>,
}

#[derive(Default)]
struct Served {
    /// By path: status, further headers, body.
    answers: HashMap<String, (u16, String, String)>,
    asked: HashMap<String, usize>,
    takes: Duration,
}

pub(crate) const DISCOVERY: &str = "/.well-known/openid-configuration";
pub(crate) const JWKS: &str = "/jwks.json";

impl Provider {
    /// An OpenID Connect provider with these keys.
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
                tokio::spawn(accepting.clone().answer(stream));
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

    /// Answers a path so from now on; each header ends with a line's end.
    pub(crate) fn serve(&self, path: &str, status: u16, headers: &str, body: &str) {
        self.served.lock().answers.insert(
            path.to_owned(),
            (status, headers.to_owned(), body.to_owned()),
        );
    }

    /// Answers everything with 500 from now on.
    pub(crate) fn fail(&self) {
        self.served
            .lock()
            .answers
            .values_mut()
            .for_each(|answer| answer.0 = 500);
    }

    /// Thinks so long before each answer.
    pub(crate) fn takes(&self, time: Duration) {
        self.served.lock().takes = time;
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.served
            .lock()
            .asked
            .get(path)
            .copied()
            .unwrap_or_default()
    }

    async fn answer(self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                // A TLS handshake begins so, and is not spoken here.
                Err(_) | Ok(0x16) => return,
                Ok(byte) => head.push(byte),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let (answer, takes) = {
            let mut served = self.served.lock();
            *served.asked.entry(path.clone()).or_default() += 1;
            (served.answers.get(&path).cloned(), served.takes)
        };
        tokio::time::sleep(takes).await;
        let (status, headers, body) = answer.unwrap_or((404, String::new(), String::new()));
        let length = body.len();
        let text =
            format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        // A client that has heard enough hangs up.
        let _ = stream.write_all(text.as_bytes()).await;
    }
}
