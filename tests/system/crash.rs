use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use lentil_tests::{Clonk, Connection, eventually};

const WRITERS: usize = 32;

/// The number of rounds of the loops: a few, or `LENTIL_TEST_ROUNDS`.
fn rounds() -> u64 {
    std::env::var("LENTIL_TEST_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(4)
}

/// Writers that report jobs until the server is gone, and record the acknowledged ones.
struct Writers {
    acknowledged: Arc<Mutex<Vec<(String, u64)>>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Writers {
    /// Each writer has its own jobs and one that all share. The stage of a job counts its reports.
    fn start(clonk: &Clonk, round: u64) -> Writers {
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let write = |writer: usize| {
            let address = clonk.address.clone();
            let bearer = clonk.bearer();
            let acknowledged = Arc::clone(&acknowledged);
            thread::spawn(move || {
                let Ok(mut connection) = Connection::open(&address) else {
                    return;
                };
                for count in 0.. {
                    let job_id = format!("{round}-{writer}-{}", count / 8);
                    let body = format!(
                        r#"{{"jobId":"{job_id}","idea":"{job_id}","status":"processing","stage":"{count}"}}"#
                    );
                    let sent = connection.request(
                        "POST",
                        "/api/job",
                        &[("authorization", &bearer)],
                        body.as_bytes(),
                    );
                    match sent {
                        Ok(response) if response.status == 200 => {
                            acknowledged.lock().unwrap().push((job_id, count))
                        }
                        Ok(response) => panic!("{}: {}", response.status, response.body),
                        Err(_) => return,
                    }
                }
            })
        };
        let threads = (0..WRITERS).map(write).collect();
        Writers {
            acknowledged,
            threads,
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    fn finish(self) -> Vec<(String, u64)> {
        for writer in self.threads {
            writer.join().unwrap();
        }
        Arc::try_unwrap(self.acknowledged)
            .unwrap()
            .into_inner()
            .unwrap()
    }
}

/// Checks that each job has its last acknowledged report or a later one, and that no job is torn.
fn check_all_there(clonk: &Clonk, acknowledged: &[(String, u64)]) {
    let bearer = clonk.bearer();
    let mut connection = clonk.connect().unwrap();
    for (job_id, count) in acknowledged {
        let target = format!("/api/job?id={job_id}");
        let response = connection
            .request("GET", &target, &[("authorization", &bearer)], b"")
            .unwrap();
        assert_eq!(
            response.status, 200,
            "{job_id} was acknowledged and is gone"
        );
        let job: serde_json::Value = serde_json::from_str(&response.body).unwrap();
        let stage: u64 = job["stage"].as_str().unwrap().parse().unwrap();
        assert!(
            stage >= *count,
            "{job_id}: {count} was acknowledged, {stage} is there"
        );
        assert_eq!(
            (&job["idea"], &job["username"]),
            (&job["jobId"], &"unknown".into()),
            "a torn job"
        );
    }
}

#[test]
fn acknowledged_writes_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut all = Vec::new();
    for round in 0..rounds() {
        let clonk = Clonk::start(&data);
        let writers = Writers::start(&clonk, round);
        // Each round kills the server after another number of acknowledgements.
        let enough = 50 + 137 * (round as usize % 7);
        eventually("writers are acknowledged", || writers.count() >= enough);
        clonk.kill();
        all.extend(writers.finish());
        let again = Clonk::start(&data);
        check_all_there(&again, &all);
        again.kill();
    }
    assert!(all.len() as u64 >= 50 * rounds());
}

#[test]
fn a_wal_cut_after_the_last_acknowledged_write_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let mut acknowledged = Vec::new();
    let mut copies = Vec::new();
    for round in 0..6 {
        for count in 0..20 {
            let job_id = format!("cut-{round}-{count}");
            assert_eq!(clonk.post_job(&job_id, "1").status, 200);
            acknowledged.push(job_id);
        }
        // All acknowledged writes are within this length. The bytes after it may be cut anywhere.
        let safe = fs::metadata(clonk.data.join("lentil.sqlite3-wal"))
            .unwrap()
            .len();
        let writers = Writers::start(&clonk, 1_000 + round);
        eventually("writers are acknowledged", || writers.count() >= 40);
        let copy = folder.path().join(format!("copy-{round}"));
        copy_data(&clonk.data, &copy);
        copies.push((copy, safe, acknowledged.len()));
        drop(writers);
    }
    clonk.kill();
    for (at, (copy, safe, count)) in copies.into_iter().enumerate() {
        let wal = fs::OpenOptions::new()
            .write(true)
            .open(copy.join("lentil.sqlite3-wal"))
            .unwrap();
        let length = wal.metadata().unwrap().len();
        wal.set_len(safe + (length - safe) * at as u64 / 6).unwrap();
        let reopened = Clonk::start(&copy);
        for job_id in &acknowledged[..count] {
            assert_eq!(
                reopened.get_job(job_id).status,
                200,
                "{job_id} was acknowledged before the cut"
            );
        }
    }
}

/// Copies the log last. The database file changes only at checkpoints, and the test is too short for one.
fn copy_data(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for name in [
        "api-key",
        "admin-key",
        "lentil.sqlite3",
        "lentil.sqlite3-wal",
    ] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn sigterm_completes_running_requests() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let data = clonk.data.clone();
    let writers = Writers::start(&clonk, 0);
    eventually("writers are acknowledged", || writers.count() >= 200);
    assert_eq!(clonk.stop().code(), Some(0));
    let acknowledged = writers.finish();
    check_all_there(&Clonk::start(&data), &acknowledged);
}

#[test]
fn a_client_that_disconnects_early_has_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let bearer = clonk.bearer();
    for at in 0..50 {
        let body = format!(r#"{{"jobId":"gone-{at}","status":"queued","stage":"classifying"}}"#);
        let length = body.len();
        let head = format!(
            "POST /api/job HTTP/1.1\r\nhost: test\r\nauthorization: {bearer}\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut connection = clonk.connect().unwrap();
        connection.send(format!("{head}{body}").as_bytes()).unwrap();
        drop(connection);
    }
    for at in 0..50 {
        // `unique()` fails with 500 if there are two.
        eventually("the write happened", || {
            clonk.get_job(&format!("gone-{at}")).status == 200
        });
    }
}

#[test]
fn concurrent_reports_of_one_job_make_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let reports = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let (bearer, mut connection) = (clonk.bearer(), clonk.connect().unwrap());
                while !stop.load(Ordering::Relaxed) {
                    let stage = reports.fetch_add(1, Ordering::Relaxed);
                    let body =
                        format!(r#"{{"jobId":"hot","status":"processing","stage":"{stage}"}}"#);
                    let sent = connection.request(
                        "POST",
                        "/api/job",
                        &[("authorization", &bearer)],
                        body.as_bytes(),
                    );
                    assert_eq!(sent.unwrap().status, 200);
                }
            });
        }
        eventually("reports race", || reports.load(Ordering::Relaxed) > 500);
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(clonk.get_job("hot").status, 200);
}
