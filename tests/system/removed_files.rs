//! Files that are removed or replaced while the server runs. It stops before it acknowledges a write that the next start
//! would not find.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use lentil_tests::{Clonk, Start};

/// A change to a data folder, and the database's path afterwards, if there is one.
type Removal = fn(&Path) -> Option<PathBuf>;

fn aside(data: &Path) -> PathBuf {
    data.with_file_name("aside")
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

const REMOVALS: [(&str, Removal); 9] = [
    ("the folder is removed", |data| {
        fs::remove_dir_all(data).unwrap();
        None
    }),
    ("the folder is moved", |data| {
        fs::rename(data, aside(data)).unwrap();
        Some(aside(data))
    }),
    ("the folder is replaced by a link to a copy", |data| {
        let copy = data.with_file_name("copy");
        copy_folder(data, &copy);
        fs::rename(data, aside(data)).unwrap();
        symlink(copy, data).unwrap();
        Some(aside(data))
    }),
    ("the log is removed", |data| {
        fs::remove_file(data.join("lentil.sqlite3-wal")).unwrap();
        None
    }),
    ("the shared memory of the log is removed", |data| {
        fs::remove_file(data.join("lentil.sqlite3-shm")).unwrap();
        Some(data.to_owned())
    }),
    ("the database is renamed", |data| {
        fs::rename(data.join("lentil.sqlite3"), data.join("renamed")).unwrap();
        None
    }),
    ("the database is replaced by a copy", |data| {
        fs::copy(data.join("lentil.sqlite3"), data.join("copy")).unwrap();
        fs::rename(data.join("copy"), data.join("lentil.sqlite3")).unwrap();
        None
    }),
    ("the lock is removed", |data| {
        fs::remove_file(data.join("lock")).unwrap();
        Some(data.to_owned())
    }),
    ("the lock is replaced", |data| {
        fs::copy(data.join("lock"), data.join("copy")).unwrap();
        fs::rename(data.join("copy"), data.join("lock")).unwrap();
        Some(data.to_owned())
    }),
];

/// Reports a job, unless the server is gone.
fn try_post(clonk: &Clonk, bearer: &str, job_id: &str) -> Option<u16> {
    let body = format!(r#"{{"jobId":"{job_id}","status":"queued","stage":"1"}}"#);
    let mut connection = clonk.connect().ok()?;
    let headers = [("authorization", bearer)];
    let sent = connection.request("POST", "/api/job", &headers, body.as_bytes());
    sent.ok().map(|response| response.status)
}

fn log_of(data: &Path) -> String {
    fs::read_to_string(data.with_extension("log")).unwrap()
}

#[test]
fn a_write_after_a_file_is_gone_is_never_acknowledged() {
    for (what, remove) in REMOVALS {
        let folder = tempfile::tempdir().unwrap();
        let clonk = Clonk::start(&folder.path().join("data"));
        let (data, bearer) = (clonk.data.clone(), clonk.bearer());
        assert_eq!(clonk.post_job("before", "1").status, 200);
        let left = remove(&data);
        // The check is after the fsync and before the reply, so not even the first write is acknowledged.
        for at in 0..3 {
            let status = try_post(&clonk, &bearer, &format!("after-{at}"));
            assert_ne!(status, Some(200), "{what}");
        }
        assert_eq!(clonk.wait().code(), Some(1), "{what}");
        let log = log_of(&data);
        assert!(
            log.contains("was removed or replaced while the server ran"),
            "{what}: {log}"
        );
        if let Some(left) = left {
            let again = Clonk::start(&left);
            assert_eq!(again.get_job("before").status, 200, "{what}");
        }
    }
}

#[test]
fn an_idle_server_notices_that_a_file_is_gone() {
    for (what, remove) in REMOVALS {
        let folder = tempfile::tempdir().unwrap();
        let clonk = Clonk::start(&folder.path().join("data"));
        let data = clonk.data.clone();
        remove(&data);
        assert_eq!(clonk.wait().code(), Some(1), "{what}");
    }
}

#[test]
fn other_files_of_the_folder_may_be_added_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Clonk::start(&data).stop();
    // The same folder under another path.
    let link = folder.path().join("link");
    symlink(&data, &link).unwrap();
    let clonk = Start::new(&link).run();
    fs::write(data.join("a-note"), "hello").unwrap();
    fs::rename(&data, aside(&data)).unwrap();
    fs::rename(aside(&data), &data).unwrap();
    fs::remove_file(data.join("a-note")).unwrap();
    assert_eq!(clonk.post_job("a", "1").status, 200);
    assert_eq!(clonk.stop().code(), Some(0));
}
