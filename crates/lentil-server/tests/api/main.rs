//! The Convex HTTP API over real sockets.

#[path = "../sync/application.rs"]
#[allow(dead_code)]
mod application;
#[path = "../auth/keys.rs"]
#[allow(dead_code)]
mod keys;

mod admin;
mod functions;
mod instance;
mod query_at_ts;
mod refusals;

use application::Running;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A response: status, head in lower case, body.
struct HttpResponse {
    status: u16,
    head: String,
    body: Json,
}

async fn send(
    server: &Running,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> HttpResponse {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response
        .split_once("\r\n\r\n")
        .expect("a response has a head");
    let body = serde_json::from_str(body).unwrap_or_else(|_| Json::from(body));
    HttpResponse {
        status: head[9..12].parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body,
    }
}

const AS_JSON: (&str, &str) = ("content-type", "application/json");

async fn post(server: &Running, target: &str, body: &Json) -> HttpResponse {
    send(server, "POST", target, &[AS_JSON], &body.to_string()).await
}

fn count(list: &str) -> Json {
    json!({"path": "lists:count", "args": {"list": list}})
}

fn push(list: &str) -> Json {
    json!({"path": "lists:push", "args": [{"list": list, "text": "hi"}], "format": "convex_encoded_json"})
}
