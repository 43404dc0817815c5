use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use lentil_tests::{Clonk, Start, available};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn assert_modes(folder: &Path) {
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => assert_modes(&path),
            false => assert_eq!(mode(&path), 0o600, "{}", path.display()),
        }
    }
}

#[test]
fn the_first_start_makes_a_private_folder() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    clonk.post_job("a", "classifying");
    assert_modes(&clonk.data);
    let key = fs::read_to_string(clonk.data.join("api-key")).unwrap();
    assert_eq!(key.trim_end().len(), 64);
    assert!(!clonk.screen.contains(key.trim_end()), "no secret is shown");
    assert!(
        fs::read_to_string(clonk.data.join("admin-key"))
            .unwrap()
            .starts_with("clonk|")
    );
}

#[test]
fn the_startup_banner_has_a_working_command() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let address = &clonk.address;
    assert!(
        clonk
            .screen
            .starts_with(&format!("clonk 0.1.0 is listening on http://{address}\n")),
        "{}",
        clonk.screen
    );
    assert!(clonk.screen.contains(&clonk.data.display().to_string()));
    if !available("curl", "the first screen's command") {
        return;
    }
    let command = clonk.screen.split("  try").nth(1).unwrap().trim();
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), r#"{"ok":true}"#);
    assert_eq!(clonk.get_job("test-123").status, 200);
}

#[test]
fn a_second_start_finds_the_keys_and_the_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = Clonk::start(&data);
    let bearer = first.bearer();
    first.post_job("a", "classifying");
    assert_eq!(first.stop().code(), Some(0));
    assert!(
        !data.join("lentil.sqlite3-wal").exists(),
        "a stopped database is one file"
    );
    let second = Clonk::start(&data);
    assert_eq!(second.bearer(), bearer);
    assert_eq!(second.get_job("a").status, 200);
}

#[test]
fn a_key_in_the_environment_has_precedence_and_must_not_be_empty() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (code, output) = Start::new(&data).env("CLONK_API_KEY", "").refuse();
    assert_eq!(code, Some(1));
    assert!(
        output.starts_with("clonk: the environment variable CLONK_API_KEY is empty"),
        "{output}"
    );
    assert!(!data.exists(), "nothing was touched");

    let clonk = Start::new(&data)
        .env("CLONK_API_KEY", "from-the-environment")
        .run();
    assert!(!data.join("api-key").exists());
    assert!(
        clonk.screen.contains("Bearer $CLONK_API_KEY"),
        "{}",
        clonk.screen
    );
    let ask = |authorization: &str| {
        let headers = [("authorization", authorization)];
        clonk
            .connect()
            .unwrap()
            .request("GET", "/api/job?id=x", &headers, b"")
            .unwrap()
            .status
    };
    assert_eq!(ask("Bearer from-the-environment"), 404);
    assert_eq!(ask("Bearer undefined"), 401);
    assert_eq!(ask("Bearer "), 401);
}

#[test]
fn flags_are_environment_variables_too_and_the_site_has_its_own_port() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Start::new(&folder.path().join("data"))
        .env("LENTIL_SITE_PORT", "0")
        .env("LENTIL_LOG_FORMAT", "json")
        .run();
    let site = clonk
        .screen
        .split("http://")
        .nth(2)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let ask = |address: &str, target: &str| {
        let bearer = clonk.bearer();
        let mut connection = lentil_tests::Connection::open(address).unwrap();
        connection
            .request("GET", target, &[("authorization", &bearer)], b"")
            .unwrap()
            .status
    };
    assert_eq!(
        (ask(&clonk.address, "/version"), ask(site, "/version")),
        (200, 404)
    );
    assert_eq!(
        (ask(&clonk.address, "/healthz"), ask(site, "/healthz")),
        (200, 404)
    );
    assert_eq!(
        (ask(&clonk.address, "/api/job"), ask(site, "/api/job")),
        (400, 400)
    );
    assert_eq!(
        (
            ask(&clonk.address, "/http/api/job"),
            ask(site, "/http/api/job")
        ),
        (400, 404)
    );
}
