use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io};

use lentil_tests::{Clonk, Connection, Start, available, clonk_path, remove_file_size_limit};

#[test]
fn a_full_disk_rejects_writes_and_still_serves_reads() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Clonk::start(&data).stop();
    let clonk = Start::with_file_size_limit(clonk_path(), 400, &data).run();
    let large = "x".repeat(20_000);
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for at in 0..60 {
        let job_id = format!("job-{at}");
        match clonk.post_job(&job_id, &large).status {
            200 => acknowledged.push(job_id),
            500 | 503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(
        refused > 0 && !acknowledged.is_empty(),
        "{refused} rejected, {} acknowledged",
        acknowledged.len()
    );
    for job_id in &acknowledged {
        assert_eq!(
            clonk.get_job(job_id).status,
            200,
            "{job_id} can be read while the disk is full"
        );
    }
    if remove_file_size_limit(clonk.pid(), "writing again when the disk has room") {
        assert_eq!(
            clonk.post_job("room-again", &large).status,
            200,
            "the server writes again without a restart"
        );
        acknowledged.push("room-again".to_owned());
    }
    clonk.kill();
    let clonk = Clonk::start(&data);
    for job_id in &acknowledged {
        assert_eq!(
            clonk.get_job(job_id).status,
            200,
            "{job_id} was acknowledged"
        );
    }
    assert_eq!(clonk.post_job("after", "done").status, 200);
}

/// Returns the command `strace clonk` with its trace in this file.
fn traced(trace: &Path, options: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    // With `-D` the tracer is a grandchild, so that the end of the child is the end of the server.
    strace
        .args(["-D", "-f", "-qq", "-s", "4200", "-o"])
        .arg(trace)
        .args(options)
        .arg(clonk_path());
    strace
}

/// Counts the fdatasyncs of a start on this folder, in the thread with the most, because strace counts by thread.
fn syncs_of_a_start(data: &Path) -> usize {
    let trace = data.with_extension("start");
    Start::through(traced(&trace, &["-e", "trace=fdatasync"]), data)
        .run()
        .kill();
    let trace = fs::read_to_string(&trace).unwrap();
    let mut threads: Vec<&str> = trace
        .lines()
        .filter(|line| line.contains("fdatasync("))
        .map(thread_of)
        .collect();
    threads.sort_unstable();
    threads
        .chunk_by(|a, b| a == b)
        .map(<[_]>::len)
        .max()
        .expect("a start syncs")
}

fn thread_of(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

/// Reports a job, if the server still runs.
fn try_post(address: &str, bearer: &str, job_id: &str) -> io::Result<u16> {
    let body =
        format!(r#"{{"jobId":"{job_id}","idea":"{job_id}","status":"processing","stage":"1"}}"#);
    let mut connection = Connection::open(address)?;
    Ok(connection
        .request(
            "POST",
            "/api/job",
            &[("authorization", bearer)],
            body.as_bytes(),
        )?
        .status)
}

#[test]
fn a_failed_fsync_stops_the_server_before_it_acknowledges() {
    if !available("strace", "a failing fsync") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Clonk::start(&data).stop();
    // strace counts for each thread. The first fdatasyncs of the committer succeed.
    let succeed = syncs_of_a_start(&data);
    let fail = format!("inject=fdatasync:error=EIO:when={}+", succeed + 1);
    let trace = folder.path().join("trace");
    let clonk = Start::through(
        traced(&trace, &["-e", "trace=fdatasync", "-e", &fail]),
        &data,
    )
    .run();
    let bearer = clonk.bearer();
    let mut acknowledged = Vec::new();
    for at in 0..=succeed {
        let job_id = format!("job-{at}");
        match try_post(&clonk.address, &bearer, &job_id) {
            Ok(200) => acknowledged.push(job_id),
            Ok(other) => panic!("{job_id} got {other}"),
            Err(_) => break,
        }
    }
    let count = acknowledged.len();
    assert!(
        (1..=succeed).contains(&count),
        "{count} of {} were acknowledged with {succeed} fsyncs",
        succeed + 1
    );
    assert_eq!(clonk.stop().code(), Some(1));
    let log = fs::read_to_string(data.with_extension("log")).unwrap();
    assert!(
        log.contains("the disk failed to keep what was written"),
        "{log}"
    );
    let clonk = Clonk::start(&data);
    for job_id in &acknowledged {
        assert_eq!(
            clonk.get_job(job_id).status,
            200,
            "{job_id} was acknowledged"
        );
    }
}

/// A trace of system calls has an fdatasync between the write of a job to the log and the response that acknowledges
/// it.
#[test]
fn an_fsync_comes_between_a_write_and_its_response() {
    if !available("strace", "the system-call trace") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let strace = traced(
        &trace,
        &[
            "-e",
            "trace=fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg",
        ],
    );
    let clonk = Start::through(strace, &folder.path().join("data")).run();
    const JOBS: usize = 10;
    for at in 0..JOBS {
        assert_eq!(
            clonk
                .post_job(&format!("traced-{at}"), "classifying")
                .status,
            200
        );
    }
    clonk.terminate();
    drop(clonk);
    let trace = fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = trace.lines().collect();
    let first =
        |from: usize, what: &dyn Fn(&str) -> bool| (from..lines.len()).find(|&at| what(lines[at]));
    let mut responded = 0;
    for at in 0..JOBS {
        // Only the first write of the job matters, because a later commit may write its page again.
        let job_id = format!("traced-{at}");
        let written = first(0, &|line| {
            line.contains("pwrite64(") && line.contains(&job_id)
        })
        .expect("the job is written");
        // A call that another thread interrupts has two lines in the trace. The second has the result.
        let is_sync = |line: &str| line.contains("fdatasync") && line.trim_end().ends_with("= 0");
        let synced = first(written, &is_sync).expect("the log is synced");
        responded = first(responded, &|line| line.contains("{\\\"ok\\\":true}"))
            .expect("the response is sent")
            + 1;
        assert!(
            synced < responded - 1,
            "{job_id} was acknowledged without a sync: {}",
            lines[responded - 1]
        );
    }
}

#[test]
fn a_server_log_on_a_full_disk_is_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    symlink("/dev/full", data.with_extension("log")).unwrap();
    let start = || Start::new(&data).args(&["--log", "trace"]).run();
    let clonk = start();
    assert_eq!(clonk.post_job("a", "1").status, 200);
    assert_eq!(clonk.get_job("a").status, 200);
    assert_eq!(clonk.stop().code(), Some(0));

    let clonk = start();
    fs::remove_file(data.join("lock")).unwrap();
    assert_eq!(clonk.wait().code(), Some(1));

    let mut refused = Command::new(clonk_path());
    refused.args(["serve", "--port", "0", "--data", "/dev/null/data"]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let status = refused.stdout(Stdio::null()).stderr(full.unwrap()).status();
    assert_eq!(status.unwrap().code(), Some(1));
}
