//! Invalid requests: status, code, and message.

use crate::application::Running;
use crate::{AS_JSON, count, send};

#[tokio::test]
async fn invalid_requests_are_refused_with_a_code() {
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
        let response = send(&server, method, target, headers, body).await;
        assert_eq!(
            (response.status, response.body["code"].as_str()),
            (status, Some(code)),
            "{target} {headers:?} {body}"
        );
        assert!(
            response.body["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty())
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
        let response = send(&server, "PUT", target, &[], "").await;
        assert_eq!(response.status, 405, "{target}");
        let header = format!("\r\nallow: {allowed}\r\n");
        assert!(
            response.head.contains(&header),
            "{target}: {}",
            response.head
        );
    }
    server.end().await;
}

#[tokio::test]
async fn unknown_paths_get_an_error_that_clients_do_not_repeat() {
    let server = Running::start().await;
    // Convex's command line repeats a request after a 404.
    let by_cli = [AS_JSON, ("convex-client", "npm-cli-1.49.0")];
    for path in ["/api/v1/unheard_of", "/api/unheard_of", "/api/"] {
        let response = send(&server, "POST", path, &by_cli, "{}").await;
        let code = response.body["code"].as_str();
        assert_eq!(
            (response.status, code),
            (400, Some("UnknownEndpoint")),
            "{path}"
        );
        let response = send(&server, "GET", path, &[], "").await;
        let code = response.body["code"].as_str();
        assert_eq!(
            (response.status, code),
            (404, Some("UnknownEndpoint")),
            "{path}"
        );
    }
    server.end().await;
}
