//! The two clocks in transitions, and the measurements that clients report.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::application::Running;

/// Returns the first transition after these messages and an empty change of the query set.
async fn first_transition(server: &Running, messages: &[Json]) -> Json {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut socket, _) = client_async(format!("ws://{}/api/sync", server.address), stream)
        .await
        .unwrap();
    let modify =
        json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": []});
    for message in messages.iter().chain([&modify]) {
        let message = Message::text(message.to_string());
        socket.send(message).await.unwrap();
    }
    let Some(Ok(Message::Text(text))) = socket.next().await else {
        panic!("the server responds");
    };
    serde_json::from_str(&text).unwrap()
}

fn connect(client_ts: Json) -> Json {
    json!({"type": "Connect", "sessionId": "c5a54b13-2e4f-4b0d-9c0a-0c7b8f2f9a11", "clientTs": client_ts})
}

#[tokio::test]
async fn transition_has_the_clock_skew_and_the_server_time() {
    let server = Running::start().await;
    let now_ms = server.backend.runtime().await.now_ms();
    for (ahead_ms, skew_ms) in [(1500.4, 1500), (-86_400_000.0, -86_400_000)] {
        let transition = first_transition(&server, &[connect(json!(now_ms + ahead_ms))]).await;
        assert_eq!(transition["clientClockSkew"], json!(skew_ms));
        assert_eq!(transition["serverTs"], json!((now_ms * 1e6) as u64));
    }
    server.end().await;
}

#[tokio::test]
async fn client_without_a_clock_has_no_clock_skew() {
    let server = Running::start().await;
    for client_ts in [json!(null), json!(0)] {
        let transition = first_transition(&server, &[connect(client_ts)]).await;
        assert_eq!(transition["clientClockSkew"], Json::Null);
        assert!(transition["serverTs"].is_u64());
    }
    let transition = first_transition(&server, &[]).await;
    assert_eq!(transition["clientClockSkew"], Json::Null);
    let transition = first_transition(&server, &[connect(json!(1e300))]).await;
    assert!(transition["clientClockSkew"].is_i64());
    server.end().await;
}

#[tokio::test]
async fn events_of_any_shape_leave_the_connection_open() {
    let server = Running::start().await;
    let events = [
        json!({"type": "Event", "eventType": "ClientConnect", "event": [{"name": "webSocketOpen"}]}),
        json!({"type": "Event", "eventType": "ClientReceivedTransition", "event": {"messageLength": "long"}}),
        json!({"type": "Event", "eventType": "NetworkRecoveryReconnect", "event": {"timeSavedMs": 5}}),
        json!({"type": "Event", "eventType": "Unheard", "event": null}),
        json!({"type": "Event"}),
    ];
    let messages: Vec<Json> = [connect(json!(1))].into_iter().chain(events).collect();
    let transition = first_transition(&server, &messages).await;
    assert_eq!(transition["type"], "Transition");
    server.end().await;
}
