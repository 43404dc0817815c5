//! Random messages in any order: the session ends cleanly or continues, and the server serves the
//! next one.

use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::application::Running;

fn stray() -> impl Strategy<Value = String> {
    let number = || 0..3_u32;
    prop_oneof![
        Just(r#"{"type":"Connect","sessionId":"67e55044-10b1-426f-9247-bb680e5fe0c8","connectionCount":0}"#.to_owned()),
        "[0-9a-f-]{0,40}".prop_map(|id| format!(r#"{{"type":"Connect","sessionId":"{id}"}}"#)),
        (number(), number(), number()).prop_map(|(base, new, id)| format!(
            r#"{{"type":"ModifyQuerySet","baseVersion":{base},"newVersion":{new},"modifications":[{{"type":"Add","queryId":{id},"udfPath":"lists:all","args":[{{"list":"x"}}]}}]}}"#
        )),
        (number(), number()).prop_map(|(base, id)| format!(
            r#"{{"type":"ModifyQuerySet","baseVersion":{base},"newVersion":{},"modifications":[{{"type":"Remove","queryId":{id}}}]}}"#,
            base + 1
        )),
        number().prop_map(|id| format!(
            r#"{{"type":"Mutation","requestId":{id},"udfPath":"lists:push","args":[{{"list":"x","text":"{id}"}}]}}"#
        )),
        number().prop_map(|base| format!(r#"{{"type":"Authenticate","baseVersion":{base},"tokenType":"None"}}"#)),
        "[ -~]{0,40}",
        any::<String>(),
    ]
}

#[test]
fn stray_messages_end_at_most_one_connection() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(Running::start());
    let mut runner = TestRunner::new(Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    });
    let run = runner.run(&prop::collection::vec(stray(), 0..8), |messages| {
        let ended = runtime.block_on(async {
            let stream = TcpStream::connect(server.address).await.unwrap();
            let (mut socket, _) = client_async(format!("ws://{}/api/sync", server.address), stream)
                .await
                .unwrap();
            for message in messages {
                // The server may have closed the last connection.
                let _ = socket.send(Message::text(message)).await;
            }
            let _ = socket.close(None).await;
            let rest = async { while let Some(Ok(_)) = socket.next().await {} };
            tokio::time::timeout(std::time::Duration::from_secs(10), rest)
                .await
                .is_ok()
        });
        prop_assert!(ended, "the connection comes to an end");
        Ok(())
    });
    run.unwrap();
    runtime.block_on(server.end());
}
