//! A clock that was ahead when the server last ran.

use lentil_tests::{Clonk, Start};
use rusqlite::Connection;

const DAY_NANOS: i64 = 24 * 3_600 * 1_000_000_000;

#[test]
fn a_commit_ahead_of_the_clock_refuses_the_start_with_causes_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let clonk = Clonk::start(&data);
    assert_eq!(clonk.post_job("before", "1").status, 200);
    clonk.stop();
    // The data of a server whose clock was two days ahead.
    let update = "UPDATE _meta SET value = value + ?1 WHERE name = 'timestamp'";
    let conn = Connection::open(data.join("lentil.sqlite3")).unwrap();
    assert_eq!(conn.execute(update, [2 * DAY_NANOS]), Ok(1));
    drop(conn);

    let (code, output) = Start::new(&data).refuse();
    assert_eq!(code, Some(1));
    for part in [
        "the clock was ahead when the server last ran",
        "it is behind now",
        "--accept-clock-change",
    ] {
        assert!(output.contains(part), "{output}");
    }
    let clonk = Start::new(&data)
        .env("LENTIL_ACCEPT_CLOCK_CHANGE", "true")
        .run();
    assert_eq!(clonk.get_job("before").status, 200);
    assert_eq!(clonk.post_job("after", "1").status, 200);
    clonk.kill();

    // A start that accepted it once is accepted until the clock has caught up.
    let clonk = Clonk::start(&data);
    assert_eq!(clonk.get_job("after").status, 200);
    assert_eq!(clonk.post_job("after", "2").status, 200);
    assert!(clonk.get_job("after").body.contains(r#""stage":"2""#));
}
