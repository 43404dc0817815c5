use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Returns whether a program is on this machine. If not, prints that the test is skipped; with `LENTIL_TEST_ALL=1` it
/// panics.
pub fn available(program: &str, for_what: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null())
        .status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    skip(for_what, &format!("`{program}` is not on this machine"));
    false
}

/// Prints that a test is skipped and why. With `LENTIL_TEST_ALL=1` it panics.
pub(crate) fn skip(what: &str, why: &str) {
    let sentence = format!("SKIPPED {what}: {why}");
    assert!(!is_all_tested(), "{sentence}");
    eprintln!("{sentence}");
}

/// Returns whether every test must be run.
pub(crate) fn is_all_tested() -> bool {
    std::env::var_os("LENTIL_TEST_ALL").is_some_and(|all| all == "1")
}

/// Polls a condition until it holds, for half a minute at most.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns every file of a folder with a hash of its content.
pub fn folder_state(folder: &Path) -> BTreeMap<String, u64> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let state = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("the folder can be read").path();
        let mut hasher = DefaultHasher::new();
        std::fs::read(&path).unwrap_or_default().hash(&mut hasher);
        (
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            hasher.finish(),
        )
    };
    entries.map(state).collect()
}

/// Removes the limit of [`crate::Start::with_file_size_limit`] from a running process, as if the disk had room again.
/// Returns false if `prlimit` is not on this machine.
///
/// # Panics
/// If `prlimit` fails.
pub fn remove_file_size_limit(pid: u32, for_what: &str) -> bool {
    if !available("prlimit", for_what) {
        return false;
    }
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--fsize=unlimited", "--pid", &pid.to_string()]);
    assert!(prlimit.status().expect("prlimit runs").success());
    true
}
