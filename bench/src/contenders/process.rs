use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::contenders::cores::Cores;

/// A process under measurement on the server's core. It is killed when dropped.
pub(crate) struct Process(Child);

/// The number of clock ticks in a second, the unit of CPU times.
const TICKS_PER_SECOND: f64 = 100.0;

impl Process {
    /// Starts a program. Returns its standard input and the lines of its standard output.
    pub(crate) fn start(
        mut command: Command,
        cores: Cores,
    ) -> (Process, ChildStdin, Lines<BufReader<ChildStdout>>) {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = cores
            .on_servers(|| command.spawn())
            .expect("the program starts");
        let input = child.stdin.take().expect("it is piped");
        let screen = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        (Process(child), input, screen)
    }

    /// Returns the user and system time so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(&self.0.id().to_string())
    }

    /// Returns the current resident memory in megabytes.
    pub(crate) fn resident_mb(&self) -> f64 {
        self.status_mb("VmRSS:")
    }

    /// Returns the maximum of the resident memory in megabytes.
    pub(crate) fn most_resident_mb(&self) -> f64 {
        self.status_mb("VmHWM:")
    }

    fn status_mb(&self, name: &str) -> f64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("the process lives");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("a process has memory");
        let kib: f64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("memory is a number");
        kib * 1024.0 / 1e6
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn stop(mut self) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::TERM).expect("the process lives");
        self.0.wait().expect("it was started here");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the user and system time of the load generator so far.
pub(crate) fn own_cpu_seconds() -> f64 {
    cpu_seconds("self")
}

fn cpu_seconds(process: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process lives");
    let (_, after_name) = stat.rsplit_once(')').expect("a stat line has a name");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = [11, 12]
        .iter()
        .map(|at| fields[*at].parse::<u64>().expect("times are numbers"))
        .sum();
    ticks as f64 / TICKS_PER_SECOND
}
