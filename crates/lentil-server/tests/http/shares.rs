//! The limits of one client's address.

use std::net::SocketAddr;

use lentil_server::ServerOptions;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::{HELLO, Running, ask, connect, rest, routes, start};

/// Connects from another loopback address.
async fn connect_from(address: &str, running: &Running) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let address: SocketAddr = format!("{address}:0").parse().unwrap();
    socket.bind(address).unwrap();
    socket.connect(running.address).await.unwrap()
}

fn two_connections() -> ServerOptions {
    ServerOptions {
        max_connections_per_address: 2,
        ..ServerOptions::default()
    }
}

#[tokio::test]
async fn address_has_a_limit_of_connections_and_others_are_served() {
    let running = start(routes(), two_connections()).await;
    let mut first = connect(&running).await;
    let mut second = connect(&running).await;
    for kept in [&mut first, &mut second] {
        assert!(ask(kept, HELLO).await.ends_with("hello"));
    }
    let mut third = connect(&running).await;
    third.write_all(HELLO.as_bytes()).await.unwrap();
    let refused = rest(&mut third).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("TooManyConnections"), "{refused}");
    assert!(refused.contains("retry-after: 1"), "{refused}");
    let mut other = connect_from("127.0.0.2", &running).await;
    assert!(ask(&mut other, HELLO).await.ends_with("hello"));
    drop(first);
    // Its unit is free once the server has noticed the end.
    loop {
        let mut next = connect(&running).await;
        if next.write_all(HELLO.as_bytes()).await.is_ok() {
            let mut buffer = [0; 12];
            let read = tokio::io::AsyncReadExt::read_exact(&mut next, &mut buffer).await;
            if read.is_ok() && buffer.ends_with(b"200") {
                break;
            }
        }
    }
}

#[tokio::test]
async fn connections_of_a_trusted_proxy_are_not_limited() {
    let options = ServerOptions {
        trusted_proxies: "127.0.0.1".parse().unwrap(),
        ..two_connections()
    };
    let running = start(routes(), options).await;
    let mut connections = Vec::new();
    for _ in 0..5 {
        let mut connection = connect(&running).await;
        assert!(ask(&mut connection, HELLO).await.ends_with("hello"));
        connections.push(connection);
    }
    // Behind the proxy, the WebSockets of each client are limited.
    let upgrade = "GET /api/sync HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (client, status) in [
        ("192.0.2.1", "101"),
        ("192.0.2.1", "101"),
        ("192.0.2.1", "503"),
        ("192.0.2.2", "101"),
    ] {
        let mut socket = connect(&running).await;
        let request = format!("{upgrade}x-forwarded-for: {client}\r\n\r\n");
        let response = ask(&mut socket, &request).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status}")),
            "{response}"
        );
        connections.push(socket);
    }
}
