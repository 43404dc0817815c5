use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::report::statistics::median;

/// The machine, the date and the commit of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    /// The commit, with a `+` if the files differ from it.
    pub(crate) commit: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gb: f64,
    pub(crate) kernel: String,
    /// The time to append 4 KiB to a file and sync it.
    pub(crate) fdatasync_ms: f64,
}

impl Machine {
    /// Describes this machine and the disk of the folder.
    pub(crate) fn describe(folder: &Path) -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_default();
            line.split_once(':')
                .map_or(String::new(), |(_, value)| value.trim().to_owned())
        };
        let (cpus, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let kib: f64 = field(&memory, "MemTotal")
            .trim_end_matches(" kB")
            .parse()
            .unwrap_or_default();
        let changed = if output("git", &["status", "--porcelain"]).is_empty() {
            ""
        } else {
            "+"
        };
        Machine {
            date: date(SystemTime::now()),
            commit: format!(
                "{}{changed}",
                output("git", &["rev-parse", "--short", "HEAD"])
            ),
            cpu: field(&cpus, "model name"),
            cores: cpus
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            memory_gb: kib * 1024.0 / 1e9,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            fdatasync_ms: fdatasync_ms(folder),
        }
    }
}

/// Returns the output of a program, or nothing if it is missing.
pub(crate) fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

fn fdatasync_ms(folder: &Path) -> f64 {
    let path = folder.join("fdatasync");
    let mut file = File::create(&path).expect("the folder can be written to");
    let mut once = || {
        file.write_all(&[1; 4_096]).expect("the disk has room");
        let began = Instant::now();
        file.sync_data().expect("the disk works");
        began.elapsed().as_secs_f64() * 1e3
    };
    let times: Vec<f64> = (0..100).map(|_| once()).collect();
    let _ = fs::remove_file(path);
    median(&times)
}

/// Formats a time in UTC, such as `2026-01-31T12:00Z`.
fn date(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let time = chrono::DateTime::from_timestamp(seconds as i64, 0).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%MZ").to_string()
}
