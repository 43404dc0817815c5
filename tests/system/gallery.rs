use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use lentil_tests::{Clonk, Connection, Packages, Server, available};
use serde_json::{Value, json};

const PNG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/screenshot.png");

fn target(app_name: &str) -> String {
    format!("/api/publish?appName={app_name}&description=d&vercelUrl=v&githubUrl=g&username=ada")
}

/// Calls a query without a key and returns its result.
fn query(connection: &mut Connection, path: &str, args: &Value) -> Value {
    let call = json!({ "path": path, "args": args, "format": "json" }).to_string();
    let headers = [("content-type", "application/json")];
    let response = connection
        .request("POST", "/api/query", &headers, call.as_bytes())
        .unwrap();
    let mut response: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(response["status"], "success", "{response}");
    response["value"].take()
}

fn apps(clonk: &Clonk) -> Vec<Value> {
    let listed = query(&mut clonk.connect().unwrap(), "apps:list", &json!({}));
    listed.as_array().unwrap().clone()
}

fn curl(args: &[&str]) -> Vec<u8> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail-with-body"])
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn an_app_is_published_by_curl_and_its_screenshot_is_read_back() {
    if !available("curl", "publishing by curl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let url = format!("http://{}{}", clonk.address, target("My%20Clock"));
    let bearer = format!("Authorization: {}", clonk.bearer());
    let body = format!("@{PNG}");
    let response = curl(&[
        "-H",
        &bearer,
        "-H",
        "Content-Type: image/png",
        "--data-binary",
        &body,
        &url,
    ]);
    let response: Value = serde_json::from_slice(&response).unwrap();
    assert_eq!(
        response,
        json!({ "slug": "my-clock", "pageUrl": "https://clonk.ai/app/my-clock" })
    );
    let screenshot = curl(&[apps(&clonk)[0]["screenshotUrl"].as_str().unwrap()]);
    assert_eq!(screenshot, fs::read(PNG).unwrap());
}

#[test]
fn the_gallery_is_live_for_the_official_client() {
    if let Some(js) = Packages::of_node("js") {
        let mut server = Server::clonk();
        js.run("gallery.mjs", &[&server.api_key(), PNG], &mut server);
    }
}

/// Publishes apps until the server is gone. Returns the acknowledged slugs.
fn publish_until_gone(address: &str, bearer: &str, png: &[u8]) -> Vec<String> {
    let headers = [("authorization", bearer), ("content-type", "image/png")];
    let mut slugs = Vec::new();
    let Ok(mut connection) = Connection::open(address) else {
        return slugs;
    };
    while let Ok(response) = connection.request("POST", &target("The%20same"), &headers, png) {
        assert_eq!(response.status, 200, "{}", response.body);
        let response: Value = serde_json::from_str(&response.body).unwrap();
        slugs.push(response["slug"].as_str().unwrap().to_owned());
    }
    slugs
}

#[test]
fn published_apps_and_their_screenshots_survive_kill_9() {
    if !available("curl", "reading screenshots") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let png = fs::read(PNG).unwrap();
    let mut published = Vec::new();
    for _ in 0..3 {
        let clonk = Clonk::start(&data);
        let (address, bearer) = (clonk.address.clone(), clonk.bearer());
        thread::scope(|scope| {
            let publishers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| publish_until_gone(&address, &bearer, &png)))
                .collect();
            // The publishers may be anywhere by then.
            thread::sleep(Duration::from_millis(300));
            clonk.kill();
            published.extend(
                publishers
                    .into_iter()
                    .flat_map(|publisher| publisher.join().unwrap()),
            );
        });
    }
    let clonk = Clonk::start(&data);
    assert!(
        published.len() > 10,
        "only {} were acknowledged",
        published.len()
    );
    let mut connection = clonk.connect().unwrap();
    let mut apps: Vec<Value> = published
        .iter()
        .map(|slug| query(&mut connection, "apps:getBySlug", &json!({ "slug": slug })))
        .collect();
    assert!(
        apps.iter().all(|app| app["screenshotUrl"].is_string()),
        "an acknowledged app is gone"
    );
    for app in [apps.remove(0), apps.pop().unwrap()] {
        assert_eq!(curl(&[app["screenshotUrl"].as_str().unwrap()]), png);
    }
    published.sort();
    published.dedup();
    assert_eq!(published.len(), apps.len() + 2, "no two have one slug");
}
