//! Calls of functions, and the identity of callers.

use serde_json::{Value as Json, json};

use crate::application::Running;
use crate::{post, push, send};

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
        let response = post(
            &server,
            target,
            &json!({"path": path, "args": {"list": "x"}}),
        )
        .await;
        assert_eq!(
            (response.status, response.body),
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
async fn failure_of_a_function_is_200_without_internals() {
    let server = Running::start().await;
    let failure = async |kind: &str, body: Json| {
        let response = post(&server, &format!("/api/{kind}"), &body).await;
        assert_eq!(
            (response.status, response.body["status"].as_str()),
            (200, Some("error")),
            "{body}"
        );
        let message = response.body["errorMessage"].as_str().unwrap().to_owned();
        assert!(message.starts_with("[Request ID: "), "{message}");
        (
            message.split_once("] ").unwrap().1.to_owned(),
            response.body.get("errorData").cloned(),
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
    let hidden = failure("query", json!({"path": "lists:hidden", "args": {}})).await;
    let missing = failure("query", json!({"path": "lists:missing", "args": {}})).await;
    assert_eq!(
        hidden.0.replace("hidden", "missing"),
        missing.0,
        "an internal function looks like a missing one"
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
async fn unknown_authorization_is_ignored_on_routes() {
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
        let response = send(
            &server,
            "GET",
            "/me",
            &[("authorization", authorization)],
            "",
        )
        .await;
        assert_eq!(
            (response.status, response.body),
            (200, json!(name)),
            "{authorization}"
        );
    }
    server.end().await;
}
