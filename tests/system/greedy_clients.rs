use std::process::Command;

use lentil_tests::{Clonk, Connection, Start, available, eventually};

#[test]
fn a_thousand_connections_are_served_beside_slow_ones() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    clonk.post_job("a", "classifying");
    let bearer = clonk.bearer();
    let mut dawdlers: Vec<Connection> = Vec::new();
    for at in 0..200 {
        let mut connection = clonk.connect().unwrap();
        let head = format!(
            "POST /api/job HTTP/1.1\r\nhost: test\r\nauthorization: {bearer}\r\ncontent-length: 100\r\n"
        );
        // Some stop within the request head, others within the body.
        connection.send(head.as_bytes()).unwrap();
        if at % 2 == 0 {
            connection.send(b"\r\n{\"jobId\":").unwrap();
        }
        dawdlers.push(connection);
    }
    let mut connections: Vec<Connection> = (0..1_000).map(|_| clonk.connect().unwrap()).collect();
    for connection in &mut connections {
        let response =
            connection.request("GET", "/api/job?id=a", &[("authorization", &bearer)], b"");
        assert_eq!(response.unwrap().status, 200);
    }
    drop((dawdlers, connections));
    assert_eq!(clonk.post_job("b", "classifying").status, 200);
}

#[test]
fn a_large_body_without_the_key_is_rejected_unread() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let mut connection = clonk.connect().unwrap();
    connection
        .send(b"POST /api/job HTTP/1.1\r\nhost: test\r\ncontent-length: 15000000\r\n\r\n")
        .unwrap();
    connection.send(&vec![b'x'; 300_000]).unwrap();
    let response = connection
        .read()
        .expect("the response can be read although the body was not");
    assert_eq!(
        (response.status, response.body.as_str()),
        (401, r#"{"error":"Unauthorized"}"#)
    );
}

#[test]
fn bytes_that_are_not_http_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let status = |bytes: &[u8]| {
        let mut connection = clonk.connect().unwrap();
        connection.send(bytes).unwrap();
        connection.read().map(|response| response.status).ok()
    };
    let long = format!(
        "GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    assert_eq!(status(long.as_bytes()), Some(431));
    assert_eq!(
        status(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on\r\n\r\n"),
        Some(400)
    );
    assert_eq!(
        status(b"GET / HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"),
        Some(400)
    );
    assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), Some(400));
    // The body is rejected because the key is missing. Its length is that of the chunked encoding.
    for lengths in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
    ] {
        let mut connection = clonk.connect().unwrap();
        let smuggled = format!(
            "POST /api/job HTTP/1.1\r\nhost: test\r\n{lengths}\r\n\r\n0\r\n\r\nGET /version HTTP/1.1\r\nhost: test\r\n\r\n"
        );
        connection.send(smuggled.as_bytes()).unwrap();
        assert_eq!(connection.read().unwrap().status, 401);
        assert!(connection.read().is_err(), "the connection ends");
    }
    assert_eq!(clonk.post_job("a", "classifying").status, 200);
}

#[test]
fn http_2_is_supported() {
    if !available("curl", "HTTP/2") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    clonk.post_job("a", "classifying");
    let mut curl = Command::new("curl");
    curl.args([
        "-s",
        "--http2-prior-knowledge",
        "-w",
        " %{http_code} %{http_version}",
        "-H",
    ]);
    curl.arg(format!("Authorization: {}", clonk.bearer()))
        .arg(format!("http://{}/api/job?id=a", clonk.address));
    let output = String::from_utf8(curl.output().unwrap().stdout).unwrap();
    assert!(
        output.contains(r#""jobId":"a""#) && output.ends_with(" 200 2"),
        "{output}"
    );
}

#[test]
fn an_idle_connection_does_not_delay_the_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let mut idle = clonk.connect().unwrap();
    idle.request("GET", "/healthz", &[], b"").unwrap();
    let silent = clonk.connect().unwrap();
    clonk.terminate();
    eventually("the idle connection is closed", || {
        idle.request("GET", "/healthz", &[], b"").is_err()
    });
    drop(silent);
    assert_eq!(clonk.stop().code(), Some(0));
}

#[test]
fn a_client_without_progress_is_disconnected_after_the_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let start = Start::new(&folder.path().join("data")).args(&["--progress-timeout", "1"]);
    let clonk = start.run();
    let bearer = clonk.bearer();
    let mut half = clonk.connect().unwrap();
    let head = format!(
        "POST /api/job HTTP/1.1\r\nhost: test\r\nauthorization: {bearer}\r\ncontent-length: 100\r\n\r\n{{"
    );
    half.send(head.as_bytes()).unwrap();
    assert_eq!(half.read().unwrap().status, 408);
    assert!(half.read().is_err(), "the connection ends");
}

#[test]
fn an_address_is_limited_to_its_share_of_connections() {
    let folder = tempfile::tempdir().unwrap();
    let start = Start::new(&folder.path().join("data")).args(&["--connections-per-address", "2"]);
    let clonk = start.run();
    let mut kept = [clonk.connect().unwrap(), clonk.connect().unwrap()];
    for connection in &mut kept {
        let response = connection.request("GET", "/healthz", &[], b"").unwrap();
        assert_eq!(response.status, 200);
    }
    let refused = clonk.connect().unwrap().read().unwrap();
    assert_eq!(refused.status, 503);
    assert!(
        refused.body.contains("TooManyConnections"),
        "{}",
        refused.body
    );
}
