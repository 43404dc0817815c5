//! Programs that end with the test that started them, even if the test panics or is killed.
//!
//! A program may start others: `strace` its tracee, `node` a browser. All of them inherit an environment variable, the
//! *mark*, which names the test process and the start. The end of a [`Process`] ends everything with its mark. When the
//! test process is killed, a watcher ends everything with that process's marks.

use std::ops::{Deref, DerefMut};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

const VARIABLE: &str = "LENTIL_TEST_PROCESS";

/// The time within which grandchildren must end by themselves. `strace` needs it to complete its trace.
const GRACE_PERIOD: Duration = Duration::from_secs(2);

/// Waits for the end of its standard input, which the kernel closes with the test process. Then it kills every process
/// with the mark `$1`.
const WATCH: &str = r#"
read -r _
grep -laF -- "$1" /proc/[0-9]*/environ 2>/dev/null | while read -r environ; do
    pid=${environ#/proc/}
    kill -KILL "${pid%/environ}"
done"#;

/// A program that a test has started. Dropping this kills it and every process that it has started.
pub struct Process {
    child: Child,
    mark: String,
}

impl Process {
    /// Starts a program.
    ///
    /// # Panics
    /// If the program does not exist.
    pub fn start(command: &mut Command) -> Process {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        static WATCHER: OnceLock<Child> = OnceLock::new();
        WATCHER.get_or_init(watch);
        let mark = format!("{}{}.", run_mark(), STARTED.fetch_add(1, Ordering::Relaxed));
        let child = command.env(VARIABLE, &mark).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Process { child, mark }
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.child
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The child may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let own = format!("{VARIABLE}={}", self.mark);
        let deadline = Instant::now() + GRACE_PERIOD;
        loop {
            let left = Leftover::with_mark(&own);
            if left.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                kill(&left);
            }
            if Instant::now() > deadline + GRACE_PERIOD {
                // A panic here would end the test run, and the watcher with it.
                eprintln!("these processes do not end: {left:?}");
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The folder of the programs that Cargo built with these tests, such as `target/debug`.
///
/// It is found from the running test, `target/debug/deps/system-…`, so that any `--target-dir` is right.
pub(crate) fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.parent().and_then(Path::parent);
    profile
        .expect("Cargo puts tests into a folder of the profile's")
        .to_owned()
}

/// Returns the prefix of all marks of this checkout's tests.
fn checkout_mark() -> String {
    format!("{}#", profile_folder().display())
}

/// Returns the prefix of all marks of this test process.
fn run_mark() -> String {
    format!("{}{}.", checkout_mark(), std::process::id())
}

/// Starts the watcher, which kills the marked processes after the end of the test process.
fn watch() -> Child {
    let mut watcher = Command::new("sh");
    watcher
        .args(["-c", WATCH, "sh"])
        .arg(format!("{VARIABLE}={}", run_mark()));
    // Its own process group, because Ctrl-C in a terminal is sent to the group of the test.
    watcher.process_group(0);
    watcher
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    watcher.spawn().expect("there is a shell")
}

fn kill(processes: &[Leftover]) {
    let pids = processes.iter().map(|process| process.pid.to_string());
    // Some may have ended by now.
    let _ = Command::new("kill")
        .arg("-KILL")
        .args(pids)
        .stderr(Stdio::null())
        .status();
}

/// A process of a test that still runs.
#[derive(Debug)]
pub struct Leftover {
    /// Its process id.
    pub pid: u32,
    /// Its program and arguments.
    pub command: String,
}

impl Leftover {
    /// Returns the processes that this checkout's tests have left behind: those with one of their marks, and servers
    /// without a mark. A developer's own server is left out, because only tests have their data in the folder for
    /// temporary files.
    pub fn of_checkout() -> Vec<Leftover> {
        let mark = format!("{VARIABLE}={}", checkout_mark());
        let data = std::env::temp_dir().display().to_string();
        let is_server = |pid: u32| {
            let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            program.parent() == Some(&profile_folder()) && command_line(pid).contains(&data)
        };
        Leftover::find(|pid| has_mark(pid, &mark) || is_server(pid))
    }

    fn with_mark(mark: &str) -> Vec<Leftover> {
        Leftover::find(|pid| has_mark(pid, mark))
    }

    fn find(is_left: impl Fn(u32) -> bool) -> Vec<Leftover> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| is_left(*pid))
            .map(|pid| Leftover {
                pid,
                command: command_line(pid),
            })
            .collect()
    }
}

fn has_mark(pid: u32, mark: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable.starts_with(mark.as_bytes()))
}

fn command_line(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line)
        .replace('\0', " ")
        .trim_end()
        .to_owned()
}
