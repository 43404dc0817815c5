//! The administrator: the deployment API, internal functions, and wrong keys.

use serde_json::{Value as Json, json};

use crate::application::{ADMIN_KEY, Running};
use crate::{AS_JSON, send};

#[tokio::test]
async fn deployment_api_responds_or_advises_what_to_do_instead() {
    let server = Running::start().await;
    let key = format!("Convex {ADMIN_KEY}");
    let as_admin = [AS_JSON, ("authorization", key.as_str())];
    let ask = async |method: &str, path: &str, body: &str| {
        let response = send(&server, method, &format!("/api/{path}"), &as_admin, body).await;
        (response.status, response.body)
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
async fn administrator_calls_internal_functions_and_acts_as_a_user() {
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
    let response = send(
        &server,
        "POST",
        "/api/query",
        &headers,
        r#"{"path":"me:name","args":{}}"#,
    )
    .await;
    assert_eq!(response.body["value"], "bob");
    server.end().await;
}

#[tokio::test]
async fn address_with_many_wrong_admin_keys_must_wait() {
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
    // A different response to the right key would confirm a guess.
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
    assert_eq!(other.status, 200, "a path without access check is served");
    server.end().await;
}
