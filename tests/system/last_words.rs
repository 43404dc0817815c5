//! The last message of a WebSocket and its close frame reach the client, whatever it still sends.

use std::time::Duration;

use lentil_tests::{Frame, Server, TEXT, WebSocket, frame};
use serde_json::json;

/// The largest message.
const MAX_MESSAGE: usize = 64 << 20;
/// The largest frame.
const MAX_FRAME: usize = 16 << 20;

fn opened(server: &Server) -> WebSocket {
    let client =
        WebSocket::open(server.url().trim_start_matches("http://")).expect("the server listens");
    client
        .set_timeout(Duration::from_secs(60))
        .expect("a minute is a timeout");
    client
}

/// Returns the last message and the close code, and checks that nothing follows.
fn last_words(client: &mut WebSocket) -> (String, Option<u16>) {
    let Ok(Frame::Text(last)) = client.read() else {
        panic!("the last message arrives");
    };
    let Ok(Frame::Close(code, _)) = client.read() else {
        panic!("the close frame arrives after {last}");
    };
    assert!(
        client.read().is_err(),
        "nothing comes after the close frame"
    );
    (last, code)
}

#[test]
fn a_client_that_sends_too_much_reads_the_reason() {
    let server = Server::testapp();
    let mut client = opened(&server);
    // The client sends everything before it reads.
    client
        .send(&"x".repeat(MAX_MESSAGE + 1))
        .expect("the server keeps reading");
    let (last, code) = last_words(&mut client);
    assert!(
        last.contains(r#""type":"FatalError","error":"the message is too long"#),
        "{last}"
    );
    assert_eq!(code, Some(1009));
}

#[test]
fn a_client_that_sends_too_large_a_frame_reads_the_reason() {
    let server = Server::testapp();
    let mut client = opened(&server);
    client
        .send_bytes(&frame(TEXT, &vec![b'x'; MAX_FRAME + 1]))
        .expect("the server keeps reading");
    let (last, code) = last_words(&mut client);
    assert!(
        last.contains(r#""type":"FatalError","error":"the frame is too long"#),
        "{last}"
    );
    assert_eq!(code, Some(1009));
}

#[test]
fn a_client_that_keeps_sending_after_a_bad_message_reads_the_reason() {
    let server = Server::testapp();
    let mut client = opened(&server);
    client.send("this is not JSON").unwrap();
    for _ in 0..20 {
        client
            .send(&"x".repeat(1 << 20))
            .expect("the server keeps reading");
    }
    let (last, code) = last_words(&mut client);
    assert!(
        last.contains("Received Invalid JSON on websocket"),
        "{last}"
    );
    assert_eq!(code, None);
}

#[test]
fn close_codes_say_what_was_wrong_with_a_frame() {
    let server = Server::testapp();
    let mut client = opened(&server);
    client.send_bytes(&frame(TEXT, &[0xc3, 0x28])).unwrap();
    let (last, code) = last_words(&mut client);
    assert!(last.contains("not UTF-8"), "{last}");
    assert_eq!(code, Some(1007));
    // A reserved opcode.
    let mut client = opened(&server);
    client.send_bytes(&frame(0x83, b"")).unwrap();
    assert!(matches!(client.read(), Ok(Frame::Close(Some(1002), _))));
}

#[test]
fn forty_large_subscriptions_are_one_message() {
    let server = Server::testapp();
    let mut client = opened(&server);
    let adds: Vec<_> = (0..40)
        .map(|id| {
            let value = format!("{id}{}", "x".repeat(500_000));
            json!({"type": "Add", "queryId": id, "udfPath": "echo/query:any", "args": [{"value": value}]})
        })
        .collect();
    let message =
        json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": adds});
    client.send(&message.to_string()).unwrap();
    let Ok(Frame::Text(transition)) = client.read() else {
        panic!("the transition arrives");
    };
    assert_eq!(transition.matches("QueryUpdated").count(), 40);
}
