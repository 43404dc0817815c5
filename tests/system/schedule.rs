use std::thread;
use std::time::Duration;

use lentil_tests::{Connection, Server, eventually};

fn call(server: &Server, kind: &str, path: &str, args: &str) -> Option<String> {
    let body = format!(r#"{{"path":"{path}","args":{args},"format":"json"}}"#);
    let mut connection = Connection::open(server.url().strip_prefix("http://")?).ok()?;
    let headers = [("content-type", "application/json")];
    let response = connection
        .request("POST", &format!("/api/{kind}"), &headers, body.as_bytes())
        .ok()?;
    (response.status == 200 && response.body.contains("success")).then_some(response.body)
}

fn value(server: &Server, name: &str) -> i64 {
    let body = call(
        server,
        "query",
        "counters:get",
        &format!(r#"{{"name":"{name}"}}"#),
    )
    .unwrap_or_default();
    let text = body.split(r#""value":"#).nth(1).unwrap_or_default();
    text.trim_matches(|c: char| !c.is_ascii_digit())
        .parse()
        .unwrap_or(0)
}

#[test]
fn scheduled_calls_are_executed_once_through_kill_9() {
    let mut server = Server::testapp();
    let (mut mutations, mut actions) = (0, 0);
    for round in 0..6 {
        for at in 0..40 {
            let ms = (at * 13 + round * 7) % 120;
            let args = |name: &str| {
                format!(r#"{{"name":"{name}","by":{{"$integer":"AQAAAAAAAAA="}},"ms":{ms}}}"#)
            };
            mutations +=
                i64::from(call(&server, "mutation", "counters:addLater", &args("m")).is_some());
            if at % 4 == 0 {
                actions += i64::from(
                    call(&server, "mutation", "counters:addTwiceLater", &args("a")).is_some(),
                );
            }
        }
        // The scheduler may be anywhere by then.
        thread::sleep(Duration::from_millis(20 * round));
        server.kill_and_restart();
    }
    eventually("every scheduled mutation has run", || {
        value(&server, "m") >= mutations
    });
    eventually("nothing is left to be run", || {
        let admin = format!("Convex {}", server.admin_key());
        let mut connection =
            Connection::open(server.url().strip_prefix("http://").unwrap()).unwrap();
        let headers = [
            ("content-type", "application/json"),
            ("authorization", &*admin),
        ];
        let body = br#"{"path":"_system/scheduler:pending","args":{"limit":1},"format":"json"}"#;
        connection
            .request("POST", "/api/query", &headers, body)
            .unwrap()
            .body
            .contains(r#""value":[]"#)
    });
    // All calls got their responses before a kill, so that none is in doubt.
    assert_eq!(
        value(&server, "m"),
        mutations,
        "a mutation runs exactly once"
    );
    let added = value(&server, "a");
    assert!(
        added <= 2 * actions && added > 0,
        "{added}: an action runs at most once, of {actions}"
    );
}
