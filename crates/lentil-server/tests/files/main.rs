//! Files over real sockets: uploads, downloads, ranges, conditions, and random input.

mod any_download;
mod any_upload;
mod downloads;
mod uploads;

use std::net::SocketAddr;
use std::time::Duration;

use lentil::Schema;
use lentil_server::{Listeners, ServerOptions, serve};
use lentil_testing::TestBackend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Running {
    t: TestBackend,
    address: SocketAddr,
}

/// A response: status, head in lower case, body.
#[derive(Debug)]
struct HttpResponse {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl HttpResponse {
    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Running {
    async fn start(options: ServerOptions) -> Running {
        let t = TestBackend::new(Schema::new());
        let main = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = main.local_addr().unwrap();
        let runtime = t.runtime().await.clone();
        tokio::spawn(serve(
            Listeners { main, site: None },
            runtime,
            options,
            std::future::pending(),
        ));
        Running { t, address }
    }

    async fn ask(&self, request: impl AsRef<[u8]>) -> HttpResponse {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that refuses the request may not read all of it.
        drop(stream.write_all(request.as_ref()).await);
        let mut response = Vec::new();
        let read =
            tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut response)).await;
        // A reset ends the connection too.
        drop(read.expect("the server hangs up"));
        let response = response
            .strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n")
            .unwrap_or(&response);
        let end = response
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a response has a head");
        let head = String::from_utf8_lossy(&response[..end]).into_owned();
        let (status_line, head) = head.split_once("\r\n").unwrap();
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let head = head
            .lines()
            .map(|line| match line.split_once(": ") {
                Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
                None => line.to_owned(),
            })
            .collect::<Vec<_>>()
            .join("\n");
        HttpResponse {
            status,
            head,
            body: response[end + 4..].to_vec(),
        }
    }

    /// Sends bytes and shuts down the direction. Returns the status if there is a response.
    async fn ask_and_hang_up(&self, request: &[u8]) -> Option<u16> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        drop(stream.write_all(request).await);
        drop(stream.shutdown().await);
        let mut response = Vec::new();
        let read =
            tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut response)).await;
        drop(read.expect("the server hangs up"));
        String::from_utf8_lossy(&response)
            .split(' ')
            .nth(1)?
            .parse()
            .ok()
    }

    /// Sends a body to a new upload URL.
    async fn upload(&self, headers: &[&str], body: &[u8]) -> HttpResponse {
        let path = self.upload_path().await;
        self.post(&path, headers, body).await
    }

    async fn upload_path(&self) -> String {
        let url = self
            .t
            .mutation(async |ctx| ctx.storage.generate_upload_url().await)
            .await
            .unwrap();
        url.strip_prefix("http://127.0.0.1:3210")
            .unwrap()
            .to_owned()
    }

    async fn post(&self, path: &str, headers: &[&str], body: &[u8]) -> HttpResponse {
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        self.ask([head.as_bytes(), body].concat()).await
    }

    /// Uploads a file and returns the path of its URL.
    async fn stored(&self, headers: &[&str], body: &[u8]) -> String {
        let response = self.upload(headers, body).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let id = response
            .text()
            .strip_prefix("{\"storageId\":\"")
            .and_then(|rest| rest.strip_suffix("\"}"));
        let id = id.expect("the response has the id").parse().unwrap();
        let url = self
            .t
            .query(async |ctx| ctx.storage.get_url(&id).await)
            .await
            .unwrap()
            .unwrap();
        url.strip_prefix("http://127.0.0.1:3210")
            .unwrap()
            .to_owned()
    }

    async fn get(&self, path: &str, headers: &[&str]) -> HttpResponse {
        self.request("GET", path, headers).await
    }

    async fn request(&self, method: &str, path: &str, headers: &[&str]) -> HttpResponse {
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        self.ask(format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n"
        ))
        .await
    }
}

/// The digest of `hello`.
const DIGEST: &str = "sha-256=LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
