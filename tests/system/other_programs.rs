//! Other programs on the database file of a running server, such as a person with `sqlite3`.

use std::path::Path;
use std::time::{Duration, Instant};

use lentil_tests::{Clonk, eventually};
use rusqlite::Connection;

fn other_program(data: &Path) -> Connection {
    let conn = Connection::open(data.join("lentil.sqlite3")).unwrap();
    conn.busy_timeout(Duration::from_secs(10)).unwrap();
    conn
}

/// Changes the stage of every job that has the stage `from`, as a manual edit does.
fn edit(data: &Path, from: &str, to: &str) {
    let conn = other_program(data);
    let view = "SELECT sql FROM sqlite_schema WHERE name = 'jobs'";
    let view: String = conn.query_row(view, [], |row| row.get(0)).unwrap();
    let from_table = view.split(" FROM ").nth(1).unwrap();
    let table = from_table.split(' ').next().unwrap();
    let update = format!(
        "UPDATE {table} SET json = replace(json, '\"{from}\"', '\"{to}\"'), checksum = NULL"
    );
    assert!(conn.execute(&update, []).unwrap() > 0);
}

#[test]
fn a_write_lock_of_another_program_leads_to_503() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    assert_eq!(clonk.post_job("before", "1").status, 200);
    for lock in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        let other = other_program(&clonk.data);
        other.execute_batch(lock).unwrap();
        let refused = clonk.post_job("meanwhile", "1");
        assert_eq!(refused.status, 503, "{lock}: {}", refused.body);
        assert_eq!(refused.header("retry-after"), Some("1"), "{lock}");
        assert_eq!(
            clonk.get_job("before").status,
            200,
            "{lock}: reads continue"
        );
        assert_eq!(clonk.get_job("meanwhile").status, 404, "{lock}");

        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| clonk.post_job("waited", "1").status);
            std::thread::sleep(Duration::from_millis(1_500));
            other.execute_batch("COMMIT").unwrap();
            assert_eq!(
                waiting.join().unwrap(),
                200,
                "{lock}: longer than a mutation may run"
            );
        });
    }
}

#[test]
fn a_mutation_of_the_convex_api_gets_503_too() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let admin_key = std::fs::read_to_string(clonk.data.join("admin-key")).unwrap();
    let authorization = format!("Convex {}", admin_key.trim_end());
    let headers = [
        ("authorization", &*authorization),
        ("content-type", "application/json"),
    ];
    let call = br#"{"path":"jobs:upsert","args":{"jobId":"a","status":"queued","stage":"1"}}"#;
    let other = other_program(&clonk.data);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut connection = clonk.connect().unwrap();
    let refused = connection
        .request("POST", "/api/mutation", &headers, call)
        .unwrap();
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(
        refused.body.contains(r#""code":"Overloaded""#),
        "{}",
        refused.body
    );
}

#[test]
fn a_cached_result_shows_a_change_by_another_program_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    assert_eq!(clonk.post_job("edited", "first").status, 200);
    let shows = |stage: &str| {
        clonk
            .get_job("edited")
            .body
            .contains(&format!("\"{stage}\""))
    };
    assert!(shows("first"));
    edit(&clonk.data, "first", "second");
    let edited = Instant::now();
    eventually("the idle server shows the change", || shows("second"));
    assert!(
        edited.elapsed() < Duration::from_secs(5),
        "{:?}",
        edited.elapsed()
    );

    // While mutations run, one after another.
    edit(&clonk.data, "second", "third");
    let mut count = 0;
    eventually("the busy server shows the change", || {
        count += 1;
        assert_eq!(clonk.post_job(&format!("other-{count}"), "1").status, 200);
        shows("third")
    });
    assert_eq!(clonk.post_job("edited", "fourth").status, 200);
    assert!(shows("fourth"), "the server's own writes are visible");
    assert_eq!(clonk.stop().code(), Some(0));
}

#[test]
fn changed_or_dropped_tables_stop_the_server() {
    for change in [
        "UPDATE _meta SET value = replace(value, '\"by_', '\"of_') WHERE name = 'catalog'",
        "UPDATE _meta SET value = '{' WHERE name = 'catalog'",
        "DROP TABLE _index_entries",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let clonk = Clonk::start(&folder.path().join("data"));
        let data = clonk.data.clone();
        other_program(&data).execute_batch(change).unwrap();
        assert_eq!(clonk.wait().code(), Some(1), "{change}");
        let log = std::fs::read_to_string(data.with_extension("log")).unwrap();
        assert!(
            log.contains("another program has changed or dropped tables"),
            "{change}: {log}"
        );
    }
}
