//! One request id for each call: in the response, in one line of the log, and in `npx convex logs`.

use std::collections::HashMap;

use lentil_tests::{Packages, Server, eventually};

/// Returns the value of a field in a line of the log.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let from = line.find(&format!(" {name}="))? + name.len() + 2;
    let rest = &line[from..];
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split(' ').next(),
    }
}

#[test]
fn every_failure_has_one_id_and_one_line_in_the_log() {
    let (Some(js), Some(node)) = (Packages::of_node("js"), Packages::node_22()) else {
        return;
    };
    let mut server = Server::testapp_with(&[]);
    js.run("request_ids.mjs", &[&node], &mut server);
    let log = server.log();
    let failures: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("a call failed"))
        .collect();
    let mut ids: HashMap<&str, usize> = HashMap::new();
    for line in &failures {
        assert!(line.contains("ERROR"), "{line}");
        let id = field(line, "request_id").expect("each line has an id");
        *ids.entry(id).or_default() += 1;
        assert!(
            field(line, "function").is_some() && field(line, "code").is_some(),
            "{line}"
        );
    }
    assert!(ids.values().all(|count| *count == 1), "{ids:?}");
    let of = |id: &str| {
        failures
            .iter()
            .find(|line| field(line, "request_id") == Some(id))
    };
    let route = of("a-route").expect("the route's failure is logged");
    assert_eq!(field(route, "function"), Some("GET /traced"));
    assert_eq!(field(route, "code"), Some("UncaughtError"));
    assert!(route.contains("invalid digit found in string"), "{route}");
    let panics = |line: &&&str| field(line, "code") == Some("FunctionPanicked");
    assert_eq!(failures.iter().filter(panics).count(), 6);
    let names = |name: &'static str| {
        let is_it = move |line: &&&str| field(line, "function") == Some(name);
        failures.iter().filter(is_it).count()
    };
    assert_eq!(names("traced:watch"), 1, "it is executed once");
    assert!(log.lines().any(|line| {
        line.contains("WARN") && line.contains("about to fail") && line.contains("a-route")
    }));
    assert!(
        of("not-there").is_none(),
        "it is refused and has not failed"
    );
}

#[test]
fn an_application_error_and_a_rejected_call_log_one_line_each() {
    let server = Server::testapp_with(&[]);
    let address = server.url();
    let mut connection =
        lentil_tests::Connection::open(address.strip_prefix("http://").unwrap()).unwrap();
    let mut call = |id, path, args| {
        let headers = [
            ("content-type", "application/json"),
            ("convex-request-id", id),
        ];
        let body = format!(r#"{{"path":"{path}","args":{args},"format":"json"}}"#);
        connection
            .request("POST", "/api/query", &headers, body.as_bytes())
            .unwrap();
    };
    call("raised", "fails/query:application", r#"{"data":"full"}"#);
    call("unknown", "fails/query:nowhere", "{}");
    call("misfit", "counters:get", r#"{"name":["secret"]}"#);
    let log = server.log();
    for (id, level, code, function) in [
        ("raised", "ERROR", "ConvexError", "fails/query:application"),
        ("unknown", "INFO", "FunctionNotFound", "fails/query:nowhere"),
        ("misfit", "INFO", "ArgumentValidationError", "counters:get"),
    ] {
        let of_call = log
            .lines()
            .filter(|line| field(line, "request_id") == Some(id) && line.contains("a call "));
        let lines: Vec<&str> = of_call.collect();
        let [line] = lines[..] else {
            panic!("{id}: {lines:?}");
        };
        assert!(line.contains(level), "{line}");
        assert_eq!(field(line, "code"), Some(code));
        assert_eq!(field(line, "function"), Some(function));
    }
    assert!(!log.contains("secret"), "arguments are not logged");
}

#[test]
fn a_panic_does_not_break_the_lines_of_the_log() {
    let server = Server::testapp_with(&["--log-format", "json"]);
    let address = server.url();
    let mut connection =
        lentil_tests::Connection::open(address.strip_prefix("http://").unwrap()).unwrap();
    let headers = [("content-type", "application/json")];
    let body = br#"{"path":"fails/query:panics","args":{},"format":"json"}"#;
    connection
        .request("POST", "/api/query", &headers, body)
        .unwrap();
    let log = server.log();
    let place = |line: &str| line.contains("a panic: a panic") && line.contains("fails.rs:");
    assert!(log.lines().any(place), "{log}");
    for line in log.lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "{line}");
    }
}

#[test]
fn a_failure_without_a_waiting_client_is_logged() {
    let server = Server::testapp_with(&["--log", "debug"]);
    let address = server.url();
    let mut connection =
        lentil_tests::Connection::open(address.strip_prefix("http://").unwrap()).unwrap();
    connection
        .send(b"GET /traced HTTP/1.1\r\nhost: test\r\nconvex-request-id: gone\r\n\r\n")
        .unwrap();
    drop(connection);
    eventually("the failure is logged", || {
        let log = server.log();
        let is_it = |line: &&str| line.contains("a call failed") && line.contains("gone");
        log.lines().filter(is_it).count() == 1
    });
    // At the level `debug` the trace has the id too.
    assert!(
        server
            .log()
            .contains("request{method=GET path=\"/traced\" request_id=gone}")
    );
}

#[test]
fn functions_see_the_clients_address_behind_a_trusted_proxy() {
    let address_seen = |flags: &'static [&'static str]| {
        let server = Server::testapp_with(flags);
        let address = server.url();
        let mut connection =
            lentil_tests::Connection::open(address.strip_prefix("http://").unwrap()).unwrap();
        let headers = [
            ("content-type", "application/json"),
            ("x-forwarded-for", "203.0.113.9"),
        ];
        let body = br#"{"path":"traced:request","args":{},"format":"json"}"#;
        let response = connection
            .request("POST", "/api/action", &headers, body)
            .unwrap();
        response.body
    };
    let seen = address_seen(&["--trusted-proxies", "127.0.0.1"]);
    assert!(seen.contains(r#""ip":"203.0.113.9""#), "{seen}");
    let seen = address_seen(&[]);
    assert!(seen.contains(r#""ip":"127.0.0.1""#), "{seen}");
}
