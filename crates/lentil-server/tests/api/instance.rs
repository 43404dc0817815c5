//! Endpoints about the server itself, and cross-origin access.

use serde_json::json;

use crate::application::Running;
use crate::{AS_JSON, count, send};

#[tokio::test]
async fn echo_returns_the_body() {
    let server = Running::start().await;
    let response = send(&server, "POST", "/echo", &[], "hello").await;
    assert_eq!((response.status, response.body), (200, json!("hello")));
    let long = "x".repeat((4 << 20) + 1);
    let response = send(&server, "POST", "/echo", &[], &long).await;
    assert_eq!(response.body["code"], "PayloadTooLarge");
    let debug = send(&server, "POST", "/api/debug_event", &[AS_JSON], "{}").await;
    assert_eq!(debug.status, 200);
    server.end().await;
}

#[tokio::test]
async fn every_origin_may_call_and_read_errors() {
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
        let response = send(&server, "POST", "/api/query", &[AS_JSON, from], &body).await;
        assert!(
            response
                .head
                .contains("access-control-allow-origin: https://app.test"),
            "{}",
            response.head
        );
        assert!(
            response
                .head
                .contains("access-control-allow-credentials: true"),
            "{}",
            response.head
        );
    }
    server.end().await;
}
