//! A write-ahead log that is damaged after a crash.
//!
//! SQLite opens such a database without the commits in the damaged part. The start refuses this if any of them were
//! acknowledged, and only then.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use lentil_tests::{Clonk, Start, eventually};
use rusqlite::Connection;

const DATABASE: &str = "lentil.sqlite3";
const LOG: &str = "lentil.sqlite3-wal";
const NOTES: &str = "lentil.sqlite3-acknowledged";
const JOBS: usize = 60;
/// The sizes of the header of the log and of a frame in bytes.
const HEADER: u64 = 32;
const FRAME: u64 = 24 + 4_096;

/// Makes the data folder of a server that was killed after it acknowledged [`JOBS`] jobs.
fn killed(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    let clonk = Clonk::start(&data);
    for at in 0..JOBS {
        assert_eq!(clonk.post_job(&format!("job-{at}"), "1").status, 200);
    }
    clonk.kill();
    data
}

/// Copies a data folder.
fn copy(data: &Path, name: &str) -> PathBuf {
    let copy = data.with_file_name(name);
    fs::create_dir(&copy).unwrap();
    for name in ["api-key", "admin-key", DATABASE, LOG, NOTES] {
        fs::copy(data.join(name), copy.join(name)).unwrap();
    }
    copy
}

fn flip(file: &Path, at: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn cut(file: &Path, length: u64) {
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(length).unwrap();
}

fn other_program(data: &Path) -> Connection {
    Connection::open(data.join(DATABASE)).unwrap()
}

/// Copies the database as the command `.backup` of `sqlite3` does. Closing the connection removes the log.
fn back_up(data: &Path, copy: &Path) {
    let vacuum = format!("VACUUM INTO '{}'", copy.display());
    other_program(data).execute_batch(&vacuum).unwrap();
    let copy = Connection::open(copy).unwrap();
    copy.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .unwrap();
}

/// Starts a server, checks every acknowledged job, and writes another job.
fn assert_starts_with_all(data: &Path, what: &str) {
    let clonk = Clonk::start(data);
    for at in 0..JOBS {
        assert_eq!(
            clonk.get_job(&format!("job-{at}")).status,
            200,
            "{what}: job {at}"
        );
    }
    assert_eq!(clonk.post_job("one-more", "1").status, 200, "{what}");
    clonk.stop();
}

type Change = fn(&Path);

#[test]
fn a_wal_that_lost_acknowledged_commits_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = killed(folder.path());
    let damage: [(&str, Change); 10] = [
        ("removed", |data| fs::remove_file(data.join(LOG)).unwrap()),
        ("removed with the database", |data| {
            fs::remove_file(data.join(LOG)).unwrap();
            fs::remove_file(data.join(DATABASE)).unwrap();
        }),
        ("emptied", |data| cut(&data.join(LOG), 0)),
        ("cut in the last frame", |data| {
            let length = fs::metadata(data.join(LOG)).unwrap().len();
            cut(&data.join(LOG), length - 1);
        }),
        ("cut in the middle", |data| {
            cut(&data.join(LOG), HEADER + 40 * FRAME)
        }),
        ("zeroed", |data| {
            let length = fs::metadata(data.join(LOG)).unwrap().len();
            fs::write(data.join(LOG), vec![0; length as usize]).unwrap();
        }),
        ("flipped in the header", |data| flip(&data.join(LOG), 18)),
        ("flipped in the first frame", |data| {
            flip(&data.join(LOG), HEADER + 5)
        }),
        ("flipped in a page", |data| {
            flip(&data.join(LOG), HEADER + 30 * FRAME + 1_000)
        }),
        ("flipped in the last page", |data| {
            let length = fs::metadata(data.join(LOG)).unwrap().len();
            flip(&data.join(LOG), length - 5);
        }),
    ];
    for (what, change) in damage {
        let copy = copy(&data, what);
        change(&copy);
        let log = fs::read(copy.join(LOG)).ok();
        for _ in 0..2 {
            let (code, output) = Start::new(&copy).refuse();
            assert_eq!(code, Some(1), "{what}: {output}");
            assert!(
                output.contains("acknowledged commits are missing"),
                "{what}: {output}"
            );
            assert!(output.contains("--accept-data-loss"), "{what}: {output}");
        }
        assert_eq!(
            fs::read(copy.join(LOG)).ok(),
            log,
            "{what}: it is left as it was"
        );

        let clonk = Start::new(&copy).args(&["--accept-data-loss"]).run();
        assert_eq!(clonk.post_job("after", "1").status, 200, "{what}");
        clonk.kill();
        let clonk = Clonk::start(&copy);
        assert_eq!(
            clonk.get_job("after").status,
            200,
            "{what}: an accepted loss is not reported again"
        );
    }
}

#[test]
fn missing_side_files_after_a_crash_refuse_the_start() {
    let damage: [(&str, Change); 4] = [
        ("removed", |data| fs::remove_file(data.join(NOTES)).unwrap()),
        ("removed with the log", |data| {
            fs::remove_file(data.join(NOTES)).unwrap();
            fs::remove_file(data.join(LOG)).unwrap();
        }),
        ("overwritten, and the log is cut", |data| {
            fs::write(data.join(NOTES), [7; 8_192]).unwrap();
            cut(&data.join(LOG), HEADER + 40 * FRAME);
        }),
        ("removed in a copy of the folder", |data| {
            for name in ["lock", DATABASE, LOG] {
                fs::copy(data.join(name), data.join("copy")).unwrap();
                fs::rename(data.join("copy"), data.join(name)).unwrap();
            }
            fs::remove_file(data.join(NOTES)).unwrap();
        }),
    ];
    for (what, change) in damage {
        let folder = tempfile::tempdir().unwrap();
        let data = killed(folder.path());
        change(&data);
        for _ in 0..2 {
            let (code, output) = Start::new(&data).refuse();
            assert_eq!(code, Some(1), "{what}: {output}");
            assert!(output.contains("did not stop cleanly"), "{what}: {output}");
            assert!(output.contains("--accept-data-loss"), "{what}: {output}");
        }
        let clonk = Start::new(&data).args(&["--accept-data-loss"]).run();
        assert_eq!(clonk.post_job("after", "1").status, 200, "{what}");
        clonk.kill();
        let clonk = Clonk::start(&data);
        assert_eq!(clonk.get_job("after").status, 200, "{what}");
    }
}

#[test]
fn missing_side_files_after_a_clean_stop_are_accepted() {
    let changes: [(&str, Change); 3] = [
        ("stopped", |data| {
            Clonk::start(data).stop();
        }),
        ("a copy of the same run in its place", |data| {
            back_up(data, &data.join("copy"));
            fs::rename(data.join("copy"), data.join(DATABASE)).unwrap();
        }),
        ("a copy of an earlier run written over it", |data| {
            back_up(data, &data.join("copy"));
            Clonk::start(data).kill();
            fs::remove_file(data.join(LOG)).unwrap();
            fs::copy(data.join("copy"), data.join(DATABASE)).unwrap();
        }),
    ];
    for (what, change) in changes {
        let folder = tempfile::tempdir().unwrap();
        let data = killed(folder.path());
        change(&data);
        fs::remove_file(data.join(NOTES)).unwrap();
        assert_starts_with_all(&data, what);
    }
}

#[test]
fn an_accepted_wal_keeps_its_intact_part_and_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let data = killed(folder.path());
    let length = fs::metadata(data.join(LOG)).unwrap().len();
    cut(&data.join(LOG), length - FRAME);
    let clonk = Start::new(&data).env("LENTIL_ACCEPT_DATA_LOSS", "1").run();
    for at in 0..JOBS - 1 {
        assert_eq!(clonk.get_job(&format!("job-{at}")).status, 200, "job {at}");
    }
    assert_eq!(clonk.get_job(&format!("job-{}", JOBS - 1)).status, 404);
    let kept = fs::metadata(data.join("lentil.sqlite3-wal.damaged")).unwrap();
    assert_eq!(kept.len(), length - FRAME);
}

#[test]
fn a_database_with_every_acknowledged_commit_starts() {
    let folder = tempfile::tempdir().unwrap();
    let data = killed(folder.path());
    let changes: [(&str, Change); 8] = [
        ("untouched", |_| {}),
        ("a torn tail", |data| {
            let log = OpenOptions::new()
                .append(true)
                .open(data.join(LOG))
                .unwrap();
            let length = log.metadata().unwrap().len();
            drop(log);
            let log = OpenOptions::new().write(true).open(data.join(LOG)).unwrap();
            log.write_all_at(&[7; 9_000], length).unwrap();
        }),
        ("looked into by another program", |data| {
            let count = "SELECT count(*) FROM jobs";
            let count: u32 = other_program(data)
                .query_row(count, [], |row| row.get(0))
                .unwrap();
            assert_eq!(count, JOBS as u32);
        }),
        ("the log emptied by another program", |data| {
            other_program(data)
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .unwrap();
        }),
        ("a crash during a transaction of another program", |data| {
            let conn = other_program(data);
            // The cache is so small that the transaction writes pages to the log before it ends.
            conn.execute_batch(
                "PRAGMA cache_size = 1; PRAGMA wal_autocheckpoint = 0; BEGIN; CREATE TABLE t (x);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
                 INSERT INTO t SELECT randomblob(3000) FROM n",
            )
            .unwrap();
            for name in [DATABASE, LOG] {
                fs::copy(data.join(name), data.join(format!("{name}.crashed"))).unwrap();
            }
            drop(conn);
            for name in [DATABASE, LOG] {
                fs::rename(data.join(format!("{name}.crashed")), data.join(name)).unwrap();
            }
        }),
        ("a copy by VACUUM INTO in its place", |data| {
            let copy = data.join("copy");
            let vacuum = format!("VACUUM INTO '{}'", copy.display());
            other_program(data).execute_batch(&vacuum).unwrap();
            for name in [LOG, "lentil.sqlite3-shm"] {
                let _ = fs::remove_file(data.join(name));
            }
            fs::rename(copy, data.join(DATABASE)).unwrap();
        }),
        ("without the notes", |data| {
            fs::remove_file(data.join(NOTES)).unwrap()
        }),
        ("with torn notes", |data| {
            flip(&data.join(NOTES), 20);
            flip(&data.join(NOTES), 4_096 + 20);
        }),
    ];
    for (what, change) in changes {
        let copy = copy(&data, what);
        change(&copy);
        assert_starts_with_all(&copy, what);
        assert_starts_with_all(&copy, what);
    }
}

#[test]
fn an_older_copy_may_replace_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let data = killed(folder.path());
    Clonk::start(&data).stop();
    let backup = folder.path().join("backup");
    fs::copy(data.join(DATABASE), &backup).unwrap();
    let clonk = Clonk::start(&data);
    assert_eq!(clonk.post_job("later", "1").status, 200);
    clonk.kill();
    fs::copy(&backup, data.join(DATABASE)).unwrap();
    fs::remove_file(data.join(LOG)).unwrap();
    assert_starts_with_all(&data, "restored after a crash");

    fs::copy(&backup, data.join(DATABASE)).unwrap();
    assert_starts_with_all(&data, "restored after a stop");
}

#[test]
fn a_copy_beside_the_wal_of_another_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = killed(folder.path());
    let copied = copy(&data, "copied");
    let vacuum = format!("VACUUM INTO '{}'", folder.path().join("vacuumed").display());
    other_program(&copied).execute_batch(&vacuum).unwrap();
    fs::rename(folder.path().join("vacuumed"), data.join(DATABASE)).unwrap();
    let (code, output) = Start::new(&data).refuse();
    assert_eq!(code, Some(1));
    assert!(output.contains("belongs to another database"), "{output}");
    fs::remove_file(data.join(LOG)).unwrap();
    assert_starts_with_all(&data, "without that log");
}

#[test]
fn a_wal_beside_another_state_of_its_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = killed(folder.path());
    fs::copy(data.join(LOG), folder.path().join("older")).unwrap();
    let backup = folder.path().join("backup");
    let backed_up = copy(&data, "backed-up");
    back_up(&backed_up, &backup);
    let clonk = Clonk::start(&data);
    assert_eq!(clonk.post_job("job-0", "2").status, 200);
    clonk.kill();
    let stopped = copy(&data, "stopped");
    let crashed = copy(&data, "crashed");
    Clonk::start(&stopped).stop();
    let unnoted = copy(&data, "unnoted");
    fs::remove_file(unnoted.join(NOTES)).unwrap();
    for data in [&data, &stopped, &unnoted] {
        fs::copy(folder.path().join("older"), data.join(LOG)).unwrap();
        let (code, output) = Start::new(data).refuse();
        assert_eq!(code, Some(1), "{data:?}: {output}");
        assert!(output.contains("another state of it"), "{data:?}: {output}");
    }
    fs::remove_file(stopped.join(LOG)).unwrap();
    assert_starts_with_all(&stopped, "without that log");
    fs::copy(&backup, crashed.join(DATABASE)).unwrap();
    let (code, output) = Start::new(&crashed).refuse();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("another state of it"), "{output}");
    fs::remove_file(crashed.join(LOG)).unwrap();
    assert_starts_with_all(&crashed, "a copy without a log");
}

#[test]
fn a_wal_lost_after_checkpoints_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let clonk = Clonk::start(&data);
    let large = "x".repeat(200_000);
    let is_copied = || fs::metadata(data.join(DATABASE)).unwrap().len() > 2_000_000;
    let mut count = 0;
    eventually("the log is copied in the background", || {
        count += 1;
        assert_eq!(
            clonk.post_job(&format!("large-{count}"), &large).status,
            200
        );
        is_copied()
    });
    assert_eq!(clonk.post_job("last", "1").status, 200);
    clonk.kill();
    let whole = copy(&data, "whole");
    let clonk = Clonk::start(&whole);
    assert_eq!(clonk.get_job("last").status, 200);
    drop(clonk);
    fs::remove_file(data.join(LOG)).unwrap();
    let (code, output) = Start::new(&data).refuse();
    assert_eq!(code, Some(1));
    // After a crash during a checkpoint the database is not complete without its log.
    let is_refused_for_it =
        output.contains("acknowledged commits are missing") || output.contains("is damaged");
    assert!(is_refused_for_it, "{output}");
}
