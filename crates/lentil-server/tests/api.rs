//! The Convex HTTP API: bodies, codes, who may do what, and several queries at one timestamp.

#[path = "sync/application.rs"]
#[allow(dead_code)]
mod application;
#[path = "auth/keys.rs"]
#[allow(dead_code)]
mod keys;

use application::{ADMIN_KEY, Running};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer: status, head in lower case, body.
struct Answer {
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
) -> Answer {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    headers
        .iter()
        .for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let body = serde_json::from_str(body).unwrap_or_else(|_| Json::from(body));
    Answer {
        status: head[9..12].parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body,
    }
}

const AS_JSON: (&str, &str) = ("content-type", "application/json");

async fn post(server: &Running, target: &str, body: &Json) -> Answer {
    send(server, "POST", target, &[AS_JSON], &body.to_string()).await
}

fn count(list: &str) -> Json {
    json!({"path": "lists:count", "args": {"list": list}})
}

fn push(list: &str) -> Json {
    json!({"path": "lists:push", "args": [{"list": list, "text": "hi"}], "format": "convex_encoded_json"})
}

#[tokio::test]
async fn functions_are_called_by_kind_and_by_any_spelling() {
    let server = Running::start().await;
    assert_eq!(
        post(&server, "/api/mutation", &push("x")).await.body,
        json!({"status": "success", "value": 1.0})
    );
    for (target, path) in [
        ("/api/query", "lists:count"),
        ("/api/query", "lists.js:count"),
        ("/api/run/lists/count", ""),
        ("/api/run/lists%2Fcount", ""),
    ] {
        let answer = post(
            &server,
            target,
            &json!({"path": path, "args": {"list": "x"}}),
        )
        .await;
        assert_eq!(
            (answer.status, answer.body),
            (200, json!({"status": "success", "value": 1.0})),
            "{target} {path}"
        );
    }
    let action = json!({"path": "lists:shout", "args": {"list": "x", "text": "ho"}});
    assert_eq!(
        post(&server, "/api/action", &action).await.body["value"],
        "HO"
    );
    server.end().await;
}

#[tokio::test]
async fn a_functions_failure_is_200_and_shows_no_internals() {
    let server = Running::start().await;
    let failure = async |kind: &str, body: Json| {
        let answer = post(&server, &format!("/api/{kind}"), &body).await;
        assert_eq!(
            (answer.status, answer.body["status"].as_str()),
            (200, Some("error")),
            "{body}"
        );
        let message = answer.body["errorMessage"].as_str().unwrap().to_owned();
        assert!(message.starts_with("[Request ID: "), "{message}");
        (
            message.split_once("] ").unwrap().1.to_owned(),
            answer.body.get("errorData").cloned(),
        )
    };
    let plain = failure("mutation", json!({"path": "lists:breakDown", "args": {}})).await;
    assert_eq!(plain, ("Server Error".to_owned(), None));
    let data = failure(
        "mutation",
        json!({"path": "lists:fail", "args": {"data": {"$integer": "BQAAAAAAAAA="}}}),
    )
    .await;
    assert_eq!(data, ("Server Error".to_owned(), Some(json!("5"))));
    let [hidden, missing] =
        ["hidden", "missing"].map(|name| json!({"path": format!("lists:{name}"), "args": {}}));
    let (hidden, missing) = (
        failure("query", hidden).await,
        failure("query", missing).await,
    );
    assert_eq!(
        hidden.0.replace("hidden", "missing"),
        missing.0,
        "an internal function is as none"
    );
    let wrong = failure("query", json!({"path": "lists:count", "args": {"list": 5}}))
        .await
        .0;
    assert!(
        wrong.contains("ArgumentValidationError: argument `list`: expected v.string(), got 5"),
        "{wrong}"
    );
    server.end().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_code() {
    let server = Running::start().await;
    let good = count("x").to_string();
    for (method, target, headers, body, status, code) in [
        ("POST", "/api/query", &[][..], &*good, 400, "BadJsonBody"),
        (
            "POST",
            "/api/query",
            &[("content-type", "text/plain")],
            &good,
            400,
            "BadJsonBody",
        ),
        ("POST", "/api/query", &[AS_JSON], "{", 400, "BadJsonBody"),
        (
            "POST",
            "/api/query",
            &[AS_JSON],
            r#"{"path":"a b"}"#,
            400,
            "BadConvexFunctionIdentifier",
        ),
        (
            "POST",
            "/api/query",
            &[AS_JSON],
            r#"{"path":"a:b","format":"xml"}"#,
            400,
            "BadFormat",
        ),
        (
            "POST",
            "/api/run/lists",
            &[AS_JSON],
            "{}",
            400,
            "MissingIdentifier",
        ),
        ("GET", "/api/query", &[AS_JSON], "", 405, "MethodNotAllowed"),
        ("GET", "/api/sync", &[], "", 400, "WebSocketUpgradeRequired"),
        (
            "POST",
            "/api/query",
            &[AS_JSON, ("convex-client", "npm")],
            &good,
            400,
            "InvalidClientVersion",
        ),
        (
            "POST",
            "/api/query",
            &[AS_JSON, ("authorization", "Basic abc")],
            &good,
            400,
            "InvalidAdminKey",
        ),
        (
            "POST",
            "/api/query",
            &[AS_JSON, ("authorization", "Bearer abc")],
            &good,
            401,
            "InvalidAuthHeader",
        ),
        (
            "POST",
            "/api/query",
            &[AS_JSON, ("authorization", "Convex wrong")],
            &good,
            401,
            "BadAdminKey",
        ),
        (
            "POST",
            "/api/function",
            &[AS_JSON],
            &good,
            403,
            "BadDeployKey",
        ),
        ("GET", "/api/check_admin_key", &[], "", 403, "BadDeployKey"),
        (
            "GET",
            "/api/stream_function_logs?cursor=0",
            &[],
            "",
            403,
            "BadDeployKey",
        ),
        (
            "POST",
            "/api/update_environment_variables",
            &[AS_JSON],
            "{}",
            403,
            "BadDeployKey",
        ),
        (
            "POST",
            "/api/query_at_ts",
            &[AS_JSON],
            &good,
            400,
            "BadJsonBody",
        ),
        (
            "POST",
            "/api/v1/update_environment_variables",
            &[AS_JSON],
            "{}",
            403,
            "BadDeployKey",
        ),
        (
            "GET",
            "/api/v1/list_environment_variables",
            &[],
            "",
            403,
            "BadDeployKey",
        ),
        (
            "GET",
            "/api/v1/get_canonical_urls",
            &[("authorization", "Convex wrong")],
            "",
            401,
            "BadAdminKey",
        ),
        ("GET", "/api/shapes2", &[], "", 403, "BadDeployKey"),
        (
            "POST",
            "/api/shapes2",
            &[AS_JSON],
            "{}",
            405,
            "MethodNotAllowed",
        ),
        (
            "POST",
            "/api/deploy2/start_push",
            &[AS_JSON],
            "{}",
            400,
            "NotSupported",
        ),
    ] {
        let answer = send(&server, method, target, headers, body).await;
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (status, Some(code)),
            "{target} {headers:?} {body}"
        );
        assert!(
            answer.body["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty())
        );
    }
    server.end().await;
}

#[tokio::test]
async fn the_deployment_api_answers_or_says_at_once_what_to_do_instead() {
    let server = Running::start().await;
    let key = format!("Convex {ADMIN_KEY}");
    let as_admin = [AS_JSON, ("authorization", key.as_str())];
    let ask = async |method: &str, path: &str, body: &str| {
        let answer = send(&server, method, &format!("/api/{path}"), &as_admin, body).await;
        (answer.status, answer.body)
    };
    let get = async |path: &str| ask("GET", path, "").await;
    let set = r#"{"changes":[{"name":"A","value":"1"},{"name":"B","value":"2"}]}"#;
    let update = "v1/update_environment_variables";
    assert_eq!(ask("POST", update, set).await, (200, Json::Null));
    let remove = r#"{"changes":[{"name":"B","value":null}]}"#;
    let updated = ask("POST", "update_environment_variables", remove).await;
    assert_eq!(updated, (200, Json::Null));
    let listed = json!({"environmentVariables": {"A": "1"}});
    let list = "v1/list_environment_variables";
    assert_eq!(get(list).await, (200, listed.clone()));
    for (changes, code) in [
        ("", "BadJsonBody"),
        ("[]", "BadJsonBody"),
        (r#"{"changes":{}}"#, "BadJsonBody"),
        (r#"{"changes":[{"name":5,"value":"1"}]}"#, "BadJsonBody"),
        (r#"{"changes":[{"name":"C","value":5}]}"#, "BadJsonBody"),
        (
            r#"{"changes":[{"name":"C","value":"1"},{"name":"1C","value":"1"}]}"#,
            "InvalidEnvVarName",
        ),
        (
            r#"{"changes":[{"name":"CONVEX_SITE_URL","value":"1"}]}"#,
            "EnvVarNameForbidden",
        ),
    ] {
        let (status, body) = ask("POST", update, changes).await;
        assert_eq!(
            (status, body["code"].as_str()),
            (400, Some(code)),
            "{changes}"
        );
    }
    assert_eq!(get(list).await, (200, listed));
    let info = get("v1/deployment_info").await;
    assert_eq!(info, (200, json!({"kind": "selfHosted"})));
    let origin = "http://127.0.0.1:3210";
    let urls = json!({"convexCloudUrl": origin, "convexSiteUrl": origin});
    assert_eq!(get("v1/get_canonical_urls").await, (200, urls));
    let (_, shapes) = get("shapes2").await;
    assert_eq!(shapes["lines"]["fields"][2]["fieldName"], "list");
    for path in [
        "v1/list_usage_limits",
        "v1/update_usage_limit/7",
        "v1/list_log_streams",
        "v1/pause_deployment",
        "v1/data/sync",
        "run_test_function",
        "export/request/zip",
    ] {
        let (status, body) = ask("POST", path, "{}").await;
        assert_eq!(
            (status, body["code"].as_str()),
            (400, Some("NotSupported")),
            "{path}"
        );
    }
    server.end().await;
}

#[tokio::test]
async fn an_unknown_path_of_the_api_is_an_error_that_no_client_repeats() {
    let server = Running::start().await;
    // Convex's command line repeats a request after a 404.
    let by_cli = [AS_JSON, ("convex-client", "npm-cli-1.49.0")];
    for path in ["/api/v1/unheard_of", "/api/unheard_of", "/api/"] {
        let answer = send(&server, "POST", path, &by_cli, "{}").await;
        let code = answer.body["code"].as_str();
        assert_eq!(
            (answer.status, code),
            (400, Some("UnknownEndpoint")),
            "{path}"
        );
        let answer = send(&server, "GET", path, &[], "").await;
        let code = answer.body["code"].as_str();
        assert_eq!(
            (answer.status, code),
            (404, Some("UnknownEndpoint")),
            "{path}"
        );
    }
    server.end().await;
}

#[tokio::test]
async fn other_methods_are_refused_with_the_allowed_ones() {
    let server = Running::start().await;
    for (target, allowed) in [
        ("/version", "get, head, options"),
        ("/api/query", "post, options"),
        ("/api/sync", "get, options"),
    ] {
        let answer = send(&server, "PUT", target, &[], "").await;
        assert_eq!(answer.status, 405, "{target}");
        let header = format!("\r\nallow: {allowed}\r\n");
        assert!(answer.head.contains(&header), "{target}: {}", answer.head);
    }
    server.end().await;
}

#[tokio::test]
async fn an_echo_is_the_body() {
    let server = Running::start().await;
    let answer = send(&server, "POST", "/echo", &[], "hello").await;
    assert_eq!((answer.status, answer.body), (200, json!("hello")));
    let long = "x".repeat((4 << 20) + 1);
    let answer = send(&server, "POST", "/echo", &[], &long).await;
    assert_eq!(answer.body["code"], "PayloadTooLarge");
    let debug = send(&server, "POST", "/api/debug_event", &[AS_JSON], "{}").await;
    assert_eq!(debug.status, 200);
    server.end().await;
}

#[tokio::test]
async fn the_administrator_calls_internal_functions_and_acts_as_a_user() {
    let server = Running::start().await;
    let key = format!("Convex {ADMIN_KEY}");
    let user = data_encoding::BASE64.encode(br#"{"subject":"ada"}"#);
    let acting = format!("{key}:{user}");
    let ask = async |authorization: &str, path: &str, args: Json| {
        let headers = [AS_JSON, ("authorization", authorization)];
        let body = json!({"path": path, "args": args}).to_string();
        send(&server, "POST", "/api/function", &headers, &body)
            .await
            .body["value"]
            .clone()
    };
    assert_eq!(ask(&key, "lists:hidden", json!({"list": "x"})).await, 0.0);
    assert_eq!(
        ask(
            &format!("convex prod:{ADMIN_KEY}"),
            "lists:hidden",
            json!({"list": "x"})
        )
        .await,
        0.0
    );
    assert_eq!(ask(&key, "me:name", json!({})).await, Json::Null);
    assert_eq!(ask(&acting, "me:name", json!({})).await, "ada");
    let bearer = format!("Bearer {}", server.token("bob", 60.0).await);
    let headers = [AS_JSON, ("authorization", bearer.as_str())];
    let answer = send(
        &server,
        "POST",
        "/api/query",
        &headers,
        r#"{"path":"me:name","args":{}}"#,
    )
    .await;
    assert_eq!(answer.body["value"], "bob");
    server.end().await;
}

#[tokio::test]
async fn on_a_route_a_foreign_authorization_is_no_identity_and_no_error() {
    let server = Running::start().await;
    let good = format!("Bearer {}", server.token("ada", 60.0).await);
    let expired = format!("Bearer {}", server.token("ada", -60.0).await);
    for (authorization, name) in [
        (&*good, "ada"),
        (&*expired, "nobody"),
        ("Bearer an-api-key", "nobody"),
        ("Basic abc", "nobody"),
        ("x", "nobody"),
    ] {
        let answer = send(
            &server,
            "GET",
            "/me",
            &[("authorization", authorization)],
            "",
        )
        .await;
        assert_eq!(
            (answer.status, answer.body),
            (200, json!(name)),
            "{authorization}"
        );
    }
    server.end().await;
}

#[tokio::test]
async fn every_origin_may_call_and_reads_errors_too() {
    let server = Running::start().await;
    let from = ("origin", "https://app.test");
    let asked = (
        "access-control-request-headers",
        "authorization,convex-client",
    );
    let preflight = send(&server, "OPTIONS", "/api/query", &[from, asked], "").await;
    assert_eq!(preflight.status, 204);
    assert!(
        preflight
            .head
            .contains("access-control-allow-headers: authorization,convex-client"),
        "{}",
        preflight.head
    );
    for body in [count("x").to_string(), "{".to_owned()] {
        let answer = send(&server, "POST", "/api/query", &[AS_JSON, from], &body).await;
        assert!(
            answer
                .head
                .contains("access-control-allow-origin: https://app.test"),
            "{}",
            answer.head
        );
        assert!(
            answer
                .head
                .contains("access-control-allow-credentials: true"),
            "{}",
            answer.head
        );
    }
    server.end().await;
}

#[tokio::test]
async fn sixty_four_timestamps_can_be_asked_about_with_commits_between_them() {
    let server = Running::start().await;
    let mut timestamps = Vec::new();
    for _ in 0..65 {
        // Asked for twice, a timestamp is held once.
        for _ in 0..2 {
            let ts = send(&server, "POST", "/api/query_ts", &[], "").await.body["ts"].clone();
            timestamps.push(ts);
        }
        post(&server, "/api/mutation", &push("x")).await;
    }
    timestamps.dedup();
    assert_eq!(timestamps.len(), 65);
    let at = |ts: &Json, list: &str| {
        let mut body = count(list);
        body["ts"] = ts.clone();
        body
    };
    for (pushed, ts) in timestamps.iter().enumerate().skip(1) {
        let read = post(&server, "/api/query_at_ts", &at(ts, "x")).await;
        assert_eq!(read.body["value"], pushed as f64);
    }
    let evicted = post(&server, "/api/query_at_ts", &at(&timestamps[0], "x")).await;
    assert_eq!(evicted.status, 503);
    assert_eq!(evicted.body["code"], "OutOfRetention");
    assert!(evicted.head.contains("retry-after: 0"), "{}", evicted.head);
    let unchanged = post(&server, "/api/query_at_ts", &at(&timestamps[0], "y")).await;
    assert_eq!(unchanged.body["value"], 0.0);
    server.end().await;
}

#[tokio::test]
async fn queries_at_one_timestamp_agree_whatever_is_written_meanwhile() {
    let server = Running::start().await;
    let ts = send(&server, "POST", "/api/query_ts", &[], "").await.body["ts"].clone();
    post(&server, "/api/mutation", &push("x")).await;
    let at = |list: &str| {
        let mut body = count(list);
        body["ts"] = ts.clone();
        body
    };
    for _ in 0..2 {
        assert_eq!(
            post(&server, "/api/query_at_ts", &at("x")).await.body["value"],
            0.0
        );
    }
    assert_eq!(
        post(&server, "/api/query", &count("x")).await.body["value"],
        1.0
    );
    let lost = json!({"path": "lists:count", "args": {"list": "x"}, "ts": "AQAAAAAAAAA="});
    let lost = post(&server, "/api/query_at_ts", &lost).await;
    assert_eq!(
        (lost.status, lost.body["code"].as_str()),
        (503, Some("OutOfRetention"))
    );
    let batch = json!({"queries": [count("x"), {"path": "lists:lost", "args": {}}, count("y")]});
    let results = post(&server, "/api/query_batch", &batch).await.body["results"].clone();
    assert_eq!(
        (
            &results[0]["value"],
            &results[1]["status"],
            &results[2]["value"]
        ),
        (&json!(1.0), &json!("error"), &json!(0.0))
    );
    server.end().await;
}

#[tokio::test]
async fn an_address_that_presents_many_wrong_admin_keys_waits() {
    let server = Running::start().await;
    let check = async |key: &str, address: &str| {
        let headers = [
            ("authorization", &*format!("Convex {key}")),
            ("x-forwarded-for", address),
        ];
        send(&server, "GET", "/api/check_admin_key", &headers, "").await
    };
    for _ in 0..10 {
        assert_eq!(check("wrong", "6.6.6.6, 192.0.2.1").await.status, 401);
    }
    // A different response to the right key would reveal it to a guesser.
    for key in ["wrong", ADMIN_KEY] {
        let refused = check(key, "192.0.2.1").await;
        assert_eq!(refused.status, 429, "{key}");
        assert_eq!(refused.body["code"], "TooManyFailedAdminKeys");
        assert!(refused.head.contains("retry-after: "), "{}", refused.head);
    }
    let by_parameter = format!("/api/check_admin_key?adminKey={ADMIN_KEY}");
    let headers = [("x-forwarded-for", "192.0.2.1")];
    let refused = send(&server, "GET", &by_parameter, &headers, "").await;
    assert_eq!(refused.status, 429);
    for address in ["192.0.2.2", ""] {
        assert_eq!(check(ADMIN_KEY, address).await.status, 200, "{address}");
    }
    let headers = [("x-forwarded-for", "192.0.2.1")];
    let other = send(&server, "GET", "/version", &headers, "").await;
    assert_eq!(other.status, 200, "what needs no key is answered");
    server.end().await;
}
