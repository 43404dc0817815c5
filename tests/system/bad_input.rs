use lentil_tests::{Clonk, Response};

const OK: &str = r#"{"ok":true}"#;

fn check(response: &Response, status: u16, says: &str) {
    assert_eq!(response.status, status, "{says}: {}", response.body);
    assert_eq!(
        response.header("content-type"),
        Some("application/json"),
        "{says}"
    );
    let error: serde_json::Value = serde_json::from_str(&response.body).unwrap();
    let error = error["error"].as_str().unwrap();
    assert!(
        says.split('|').all(|part| error.contains(part)),
        "{says:?} is not all in {error:?}"
    );
}

#[test]
fn the_jobs_api_follows_its_contract() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let created = clonk.request(
        "POST",
        "/api/job",
        r#"{"jobId":"test-123","idea":"test app","username":"dev","status":"processing","stage":"classifying","createdAt":1234567890}"#,
    );
    assert_eq!((created.status, created.body.as_str()), (200, OK));
    let job = clonk.get_job("test-123");
    assert_eq!(job.header("content-type"), Some("application/json"));
    assert!(
        job.body.contains(r#""createdAt":1234567890,"#),
        "as JavaScript writes numbers: {}",
        job.body
    );
    assert!(
        !job.body.contains("result"),
        "an absent field stays absent: {}",
        job.body
    );
    let fields: serde_json::Value = serde_json::from_str(&job.body).unwrap();
    assert!(fields["_id"].is_string() && fields["_creationTime"].is_number());

    let done = r#"{"jobId":"test-123","status":"done","stage":"done","result":"https://a.b","idea":"another"}"#;
    assert_eq!(clonk.request("POST", "/http/api/job", done).body, OK);
    let job: serde_json::Value = serde_json::from_str(&clonk.get_job("test-123").body).unwrap();
    assert_eq!(
        (&job["status"], &job["result"], &job["idea"]),
        (&"done".into(), &"https://a.b".into(), &"test app".into())
    );
    assert_eq!(job["_id"], fields["_id"]);

    check(&clonk.get_job("nothing"), 404, "Job not found");
    check(
        &clonk.request("GET", "/api/job", ""),
        400,
        "Missing id param",
    );
    check(
        &clonk.request("GET", "/api/job?id=", ""),
        400,
        "Missing id param",
    );
    for (method, target) in [
        ("PUT", "/api/job"),
        ("DELETE", "/api/job"),
        ("GET", "/nothing"),
    ] {
        let response = clonk.request(method, target, "");
        assert_eq!(
            (response.status, response.header("content-type")),
            (404, Some("text/plain; charset=utf-8"))
        );
    }
    let unknown = clonk.request("GET", "/api/job/", "");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("UnknownEndpoint"), "{}", unknown.body);
}

#[test]
fn requests_without_the_key_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let bearer = clonk.bearer();
    let key = bearer.strip_prefix("Bearer ").unwrap();
    let ask = |authorization: Option<&str>| {
        let headers: Vec<_> = authorization
            .iter()
            .map(|value| ("authorization", *value))
            .collect();
        clonk
            .connect()
            .unwrap()
            .request("POST", "/api/job", &headers, b"not even JSON")
            .unwrap()
    };
    for refused in [
        None,
        Some(""),
        Some(key),
        Some("Bearer"),
        Some("Bearer x"),
        Some("Basic x"),
    ] {
        let response = ask(refused);
        assert_eq!(
            (response.status, response.body.as_str()),
            (401, r#"{"error":"Unauthorized"}"#),
            "{refused:?}"
        );
    }
    for wrong in [
        format!("Basic {key}"),
        format!("Bearer {key}x"),
        format!("Bearer {key} x"),
        format!("Bearer {}", &key[1..]),
    ] {
        assert_eq!(ask(Some(&wrong)).status, 401, "{wrong}");
    }
    for right in [format!("bearer {key}"), format!("BEARER {key}")] {
        assert_eq!(
            ask(Some(&right)).status,
            400,
            "{right} opens; the body is then refused"
        );
    }
}

#[test]
fn bad_input_is_rejected_with_its_place_and_nothing_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let cases: &[(&[u8], &str)] = &[
        (b"", "not JSON"),
        (b"x", "not JSON|line 1 column 1"),
        (b"{\"jobId\":\"bad\"", "not JSON"),
        (b"[]", "expected a JSON object, got []"),
        (b"null", "expected a JSON object, got null"),
        (b"{}", "`jobId`|missing|v.string()"),
        (
            br#"{"jobId":"bad","status":"a"}"#,
            "`stage`|missing|v.string()",
        ),
        (
            br#"{"jobId":7,"status":"a","stage":"b"}"#,
            "`jobId`|expected v.string(), got 7",
        ),
        (
            br#"{"jobId":"bad","status":null,"stage":"b"}"#,
            "`status`|expected v.string(), got null",
        ),
        (
            br#"{"jobId":"bad","status":"a","stage":"b","extra":1}"#,
            "`extra`|unknown field|`jobId`",
        ),
        (
            br#"{"jobId":"bad","status":"a","stage":"b","result":null}"#,
            "`result`|v.optional(v.string())|null|leave the field out",
        ),
        (
            br#"{"jobId":"bad","status":"a","stage":"b","createdAt":"soon"}"#,
            "`createdAt`|expected v.number(), got \"soon\"",
        ),
        (
            br#"{"jobId":"bad","status":"a","stage":"b","createdAt":{"$integer":"BQAAAAAAAAA="}}"#,
            "`createdAt`|expected v.number(), got 5n",
        ),
        (
            br#"{"jobId":"bad","status":"a","stage":"b","createdAt":1e999}"#,
            "`createdAt`|too large",
        ),
        (
            br#"{"jobId":"bad","status":"a","stage":"\ud800"}"#,
            "`stage`|lone surrogate",
        ),
        (
            b"{\"jobId\":\"bad\",\"status\":\"\xff\",\"stage\":\"b\"}",
            "`status`|not UTF-8",
        ),
        (br#"{"jobId":"bad","status":"a","stage":"b"} x"#, "trailing"),
        (
            br#"{"jobId":"bad","status":{"$set":1},"stage":"b"}"#,
            "`status`|$set",
        ),
    ];
    for (body, says) in cases {
        check(&clonk.request("POST", "/api/job", body), 400, says);
    }
    let deep = format!(
        r#"{{"jobId":"bad","status":{}1{},"stage":"b"}}"#,
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    check(
        &clonk.request("POST", "/api/job", deep),
        400,
        "`status|nested more than 64 levels",
    );
    let sized = |bytes: usize| {
        format!(
            r#"{{"jobId":"bad","status":"a","stage":"{}"}}"#,
            "x".repeat(bytes)
        )
    };
    check(
        &clonk.request("POST", "/api/job", sized(1 << 20)),
        400,
        "jobs|the limit is 1 MiB",
    );
    check(
        &clonk.request("POST", "/api/job", sized(17 << 20)),
        400,
        "the limit is 16 MiB",
    );
    check(
        &clonk.request("POST", "/api/job", sized(21 << 20)),
        413,
        "larger than 20971520 bytes",
    );
    check(&clonk.get_job("bad"), 404, "Job not found");
    assert_eq!(clonk.post_job("good", "classifying").body, OK);
}

#[test]
fn a_chunked_body_over_the_limit_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let mut connection = clonk.connect().unwrap();
    let head = format!(
        "POST /api/job HTTP/1.1\r\nhost: test\r\nauthorization: {}\r\n",
        clonk.bearer()
    );
    connection
        .send(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes())
        .unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 0x100000], b"\r\n"].concat();
    // The server may close the connection after the limit.
    for _ in 0..22 {
        if connection.send(&chunk).is_err() {
            break;
        }
    }
    check(
        &connection.read().unwrap(),
        413,
        "larger than 20971520 bytes",
    );
}
