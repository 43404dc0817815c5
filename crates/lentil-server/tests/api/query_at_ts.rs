//! Several queries at one timestamp.

use serde_json::{Value as Json, json};

use crate::application::Running;
use crate::{count, post, push, send};

#[tokio::test]
async fn sixty_four_timestamps_have_leases_with_commits_between_them() {
    let server = Running::start().await;
    let mut timestamps = Vec::new();
    for _ in 0..65 {
        // A timestamp that is requested twice has one lease.
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
async fn queries_at_one_timestamp_are_consistent_despite_commits() {
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
