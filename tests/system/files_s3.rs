use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use lentil_tests::{Bucket, Clonk, Response, Start, eventually, testapp_path};
use serde_json::{Value, json};

use crate::files::{call, path_of, peak, upload};
use crate::refusals::check;

const ON_S3: [&str; 2] = ["--files", "s3://bucket/some/prefix"];

/// Adds the environment variables for this bucket.
fn with_bucket(bucket: &Bucket, start: Start) -> Start {
    bucket
        .variables()
        .into_iter()
        .fold(start, |start, (name, value)| start.env(name, value))
}

/// Starts the test application with its files in this bucket.
fn with(bucket: &Bucket, data: &Path) -> Start {
    with_bucket(bucket, Start::through(Command::new(testapp_path()), data)).args(&ON_S3)
}

/// Lists the objects in the bucket, without the owner's record.
fn contents(bucket: &Bucket) -> Vec<String> {
    bucket
        .keys()
        .into_iter()
        .filter(|key| !key.ends_with("/owner"))
        .collect()
}

/// Uploads a text and returns the id of its file.
fn stored(clonk: &Clonk, text: &str) -> Value {
    let response = upload(clonk, text.as_bytes());
    assert_eq!(response.status, 200, "{}", response.body);
    serde_json::from_str::<Value>(&response.body).unwrap()["storageId"].clone()
}

fn get(clonk: &Clonk, id: &Value, range: &str) -> Response {
    let url = call(&clonk.address, "query", "files:url", &json!({ "id": id })).unwrap();
    clonk
        .connect()
        .unwrap()
        .request("GET", &path_of(&url), &[("range", range)], b"")
        .unwrap()
}

fn text(length: usize) -> String {
    (0..length)
        .map(|at| char::from(b' ' + (at % 89 + at / 1_000 % 5) as u8))
        .collect()
}

#[test]
fn files_on_s3_are_uploaded_read_in_parts_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let bucket = Bucket::start();
    let clonk = with(&bucket, &data).run();
    let (small, large) = ("hello, bucket".to_owned(), text(20 << 20));
    let ids = [
        stored(&clonk, &small),
        stored(&clonk, &large),
        stored(&clonk, ""),
    ];
    eventually("the unfinished upload is removed", || {
        contents(&bucket).len() == 3
    });
    let is_content = |key: &String| {
        key.strip_prefix("some/prefix/")
            .is_some_and(|name| name.len() == 64)
    };
    assert!(
        contents(&bucket).iter().all(is_content),
        "{:?}",
        contents(&bucket)
    );
    assert_eq!(bucket.unfinished(), 0);
    assert!(
        !data.join("files").exists(),
        "nothing of them is in the data folder"
    );
    clonk.kill();

    let clonk = with(&bucket, &data).run();
    for (id, text) in ids.iter().zip([&small, &large]) {
        let whole = get(&clonk, id, "");
        assert!(
            whole.status == 200 && whole.body == *text,
            "{}",
            whole.status
        );
        let part = get(&clonk, id, "bytes=5-10");
        assert_eq!((part.status, &*part.body), (206, &text[5..11]));
        let end = get(&clonk, id, "bytes=-4");
        assert_eq!((end.status, &*end.body), (206, &text[text.len() - 4..]));
    }
    assert_eq!(get(&clonk, &ids[2], "").body, "");
    call(
        &clonk.address,
        "mutation",
        "files:delete",
        &json!({ "id": ids[1] }),
    )
    .unwrap();
    eventually("its content is removed", || contents(&bucket).len() == 2);
}

#[test]
fn orphans_of_crashes_on_s3_are_swept_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::start();
    let foreign = ["another/object".to_owned(), "some/prefix/README".to_owned()];
    let left = [
        "some/prefix/incoming/7".to_owned(),
        format!("some/prefix/{}", "0".repeat(64)),
    ];
    foreign
        .iter()
        .chain(&left)
        .for_each(|key| bucket.put(key, b"x"));
    let clonk = with(&bucket, &folder.path().join("data")).run();
    eventually("it is swept", || contents(&bucket) == foreign);
    drop(clonk);
}

#[test]
fn an_upload_fails_with_s3_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::start();
    let clonk = with(&bucket, &folder.path().join("data")).run();
    let large = text(20 << 20);
    for (failing, body) in [
        ("PUT ", "small"),
        ("partNumber=2", &*large),
        ("uploads", &*large),
    ] {
        bucket.fail(Some(failing));
        let refused = upload(&clonk, body.as_bytes());
        assert_eq!(refused.status, 503, "{failing}: {}", refused.body);
        assert!(
            !refused.body.contains("bucket"),
            "the error shows no path: {}",
            refused.body
        );
        bucket.fail(None);
        eventually("it is given up", || {
            bucket.unfinished() == 0 && contents(&bucket).is_empty()
        });
    }
    let files = call(&clonk.address, "query", "files:list", &json!({})).unwrap();
    assert_eq!(files, json!([]));
    stored(&clonk, "the next upload");
}

#[test]
fn a_large_file_to_s3_needs_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::start();
    let clonk = with(&bucket, &folder.path().join("data")).run();
    stored(&clonk, &text(9 << 20));
    let before = peak(clonk.pid());
    let megabytes = if std::env::var_os("LENTIL_TEST_ALL").is_some() {
        512
    } else {
        96
    };
    let large = text(megabytes << 20);
    let id = stored(&clonk, &large);
    assert!(get(&clonk, &id, "").body == large);
    let grown = peak(clonk.pid()).saturating_sub(before);
    println!("{megabytes} MiB: {} KiB more memory", grown >> 10);
    assert!(grown < 32 << 20, "{grown} bytes more");
}

#[test]
fn an_unusable_bucket_refuses_the_start_and_is_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let bucket = Bucket::start();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let start = || with_bucket(&bucket, Start::new(&data));
    check(
        start().args(&["--files", "/srv/files"]).refuse(),
        &["--files", "`/srv/files`", "s3://bucket/prefix"],
    );
    check(
        start().args(&["--files", "s3://nobody/x"]).refuse(),
        &["s3://nobody/x", "the bucket does not exist", "--files"],
    );
    check(
        start()
            .args(&ON_S3)
            .env("AWS_ACCESS_KEY_ID", "other")
            .refuse(),
        &[
            "s3://bucket/some/prefix",
            "access is denied",
            "AWS_SECRET_ACCESS_KEY",
        ],
    );
    check(
        start()
            .args(&ON_S3)
            .env("AWS_ENDPOINT_URL", format!("http://{closed}"))
            .refuse(),
        &["s3://bucket/some/prefix", "refused", "AWS_ENDPOINT_URL"],
    );
    check(
        start().args(&ON_S3).env("AWS_ALLOW_HTTP", "false").refuse(),
        &["not encrypted", "AWS_ALLOW_HTTP"],
    );
    assert!(!data.exists());
    assert!(bucket.keys().is_empty());
}

#[test]
fn a_bucket_prefix_of_another_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::start();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let clonk = with(&bucket, &first).run();
    let id = stored(&clonk, "the first one's");
    clonk.kill();
    let before = bucket.keys();
    let refused = || {
        with_bucket(&bucket, Start::new(&second))
            .args(&ON_S3)
            .refuse()
    };
    check(
        refused(),
        &[
            "s3://bucket/some/prefix",
            "another database",
            "--files",
            "files-owner",
        ],
    );
    assert!(!second.exists());
    with_bucket(&bucket, Start::new(&second))
        .args(&["--files", "s3://bucket/other"])
        .run()
        .kill();
    check(refused(), &["another database"]);
    assert_eq!(
        bucket.keys().len(),
        before.len() + 1,
        "nothing was removed, and the other place claimed"
    );
    let clonk = with(&bucket, &first).run();
    assert_eq!(get(&clonk, &id, "").body, "the first one's");
}
