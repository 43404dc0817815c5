use std::fs;
use std::process::Command;

use lentil_tests::{Clonk, Start, available, clonk_path};

#[test]
fn a_full_disk_refuses_writes_keeps_what_was_acknowledged_and_goes_on_reading() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Clonk::start(&data).stop();
    // No file may grow beyond 400 blocks; the signal that says so is ignored, so that writing fails instead.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -S -f 400; exec \"$0\" \"$@\""]).arg(clonk_path());
    let clonk = Start::through(limited, &data).run();
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
    assert!(refused > 0 && !acknowledged.is_empty(), "{refused} refused, {} acknowledged", acknowledged.len());
    for job_id in &acknowledged {
        assert_eq!(clonk.get_job(job_id).status, 200, "{job_id} can be read while the disk is full");
    }
    if available("prlimit", "writing again when the disk has room again") {
        let pid = clonk.pid().to_string();
        assert!(Command::new("prlimit").args(["--fsize=unlimited", "--pid", &pid]).status().unwrap().success());
        assert_eq!(clonk.post_job("room-again", &large).status, 200, "it goes on without a restart");
        acknowledged.push("room-again".to_owned());
    }
    clonk.kill();
    let clonk = Clonk::start(&data);
    for job_id in &acknowledged {
        assert_eq!(clonk.get_job(job_id).status, 200, "{job_id} was acknowledged");
    }
    assert_eq!(clonk.post_job("after", "done").status, 200);
}

/// Reads a trace of system calls: between the write that carries a job into the log and the answer that
/// acknowledges it there must be an fdatasync.
#[test]
fn between_a_write_and_its_answer_the_disk_is_told_to_keep_it() {
    if !available("strace", "the system-call trace") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut strace = Command::new("strace");
    // As its grandchild, so that the child that ends is the program, and not the tracer alone.
    strace.args([
        "-D",
        "-f",
        "-qq",
        "-s",
        "4200",
        "-e",
        "trace=fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg",
        "-o",
    ]);
    strace.arg(&trace).arg(clonk_path());
    let clonk = Start::through(strace, &folder.path().join("data")).run();
    const JOBS: usize = 10;
    for at in 0..JOBS {
        assert_eq!(clonk.post_job(&format!("traced-{at}"), "classifying").status, 200);
    }
    clonk.terminate();
    drop(clonk);
    let trace = fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = trace.lines().collect();
    let first = |from: usize, what: &dyn Fn(&str) -> bool| (from..lines.len()).find(|&at| what(lines[at]));
    let mut answered = 0;
    for at in 0..JOBS {
        // The first write of the job is the one that counts: a later commit may write its page again.
        let job_id = format!("traced-{at}");
        let written = first(0, &|line| line.contains("pwrite64(") && line.contains(&job_id)).expect("it is written");
        // A call that another thread interrupts is shown in two lines; the second has its result.
        let is_sync = |line: &str| line.contains("fdatasync") && line.trim_end().ends_with("= 0");
        let synced = first(written, &is_sync).expect("it is synced");
        answered = first(answered, &|line| line.contains("{\\\"ok\\\":true}")).expect("it is answered") + 1;
        assert!(synced < answered - 1, "{job_id} was acknowledged without a sync: {}", lines[answered - 1]);
    }
}
