//! A clock that was ahead when the server last ran.

use lentil_tests::{Clonk, Start};
use rusqlite::Connection;

const DAY_NANOS: i64 = 24 * 3_600 * 1_000_000_000;

#[test]
fn a_last_commit_ahead_of_the_clock_is_refused_with_both_causes_and_a_way_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let clonk = Clonk::start(&data);
    assert_eq!(clonk.post_job("before", "1").status, 200);
    clonk.stop();
    // As if the clock had been two days ahead.
    let update = "UPDATE _meta SET value = value + ?1 WHERE name = 'timestamp'";
    let conn = Connection::open(data.join("lentil.sqlite3")).unwrap();
    assert_eq!(conn.execute(update, [2 * DAY_NANOS]), Ok(1));
    drop(conn);

    let (code, said) = Start::new(&data).refuse();
    assert_eq!(code, Some(1));
    for part in [
        "the clock was ahead when the server last ran",
        "it is behind now",
        "--accept-clock-change",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let clonk = Start::new(&data)
        .env("LENTIL_ACCEPT_CLOCK_CHANGE", "true")
        .run();
    assert_eq!(clonk.get_job("before").status, 200);
    assert_eq!(clonk.post_job("after", "1").status, 200);
    clonk.kill();

    // It was accepted, and stays so while the clock catches up.
    let clonk = Clonk::start(&data);
    assert_eq!(clonk.get_job("after").status, 200);
    assert_eq!(clonk.post_job("after", "2").status, 200);
    assert!(clonk.get_job("after").body.contains(r#""stage":"2""#));
}
