//! No test leaves a process behind, even if it panics or is killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use lentil_tests::{Process, eventually};

/// Starts a process in a new session, prints its id, and waits for it.
const STARTS_ANOTHER: &str = "setsid sleep 1000 & echo $!; wait";

fn start(script: &str) -> (Process, u32) {
    let mut process = Process::start(
        Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped()),
    );
    let mut line = String::new();
    let stdout = process.stdout.take().expect("standard output is piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("the program prints a line");
    (process, line.trim().parse().expect("a process id"))
}

fn runs(pid: u32) -> bool {
    // A zombie process has no arguments any more.
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|arguments| !arguments.is_empty())
}

#[test]
fn a_test_that_panics_leaves_no_process_behind() {
    let panicked = std::thread::spawn(|| {
        let (_process, grandchild) = start(STARTS_ANOTHER);
        eventually("the grandchild runs", || runs(grandchild));
        std::panic::panic_any(grandchild);
    });
    let grandchild = *panicked.join().unwrap_err().downcast::<u32>().unwrap();
    assert!(!runs(grandchild));
}

/// The process that the test below kills. Without that test it does nothing.
#[test]
#[ignore = "run by another test"]
fn a_test_process_that_waits_to_be_killed() {
    let (_process, grandchild) = start(STARTS_ANOTHER);
    println!("grandchild {grandchild}");
    loop {
        std::thread::park();
    }
}

#[test]
fn a_test_process_that_is_killed_leaves_no_process_behind() {
    let mut test = Process::start(
        Command::new(std::env::current_exe().expect("a test has a path"))
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("processes::a_test_process_that_waits_to_be_killed")
            .stdout(Stdio::piped()),
    );
    let lines = BufReader::new(test.stdout.take().expect("standard output is piped")).lines();
    let mut words = lines.map_while(Result::ok).filter_map(|line| {
        let (_, pid) = line.split_once("grandchild ")?;
        pid.parse::<u32>().ok()
    });
    let grandchild = words.next().expect("the test prints the id of its process");
    eventually("the grandchild runs", || runs(grandchild));
    test.kill().expect("it can be killed");
    test.wait().expect("it ends");
    // This check precedes the end of this test's own `Process`, which would kill the grandchild too.
    eventually("the watcher kills the processes of the test", || {
        !runs(grandchild)
    });
}
