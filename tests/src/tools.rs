use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Whether a program is on this machine. When it is not, says what is skipped; with `LENTIL_TEST_ALL=1` fails.
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

/// Says what is skipped and why; with `LENTIL_TEST_ALL=1` fails.
pub(crate) fn skip(what: &str, why: &str) {
    let sentence = format!("SKIPPED {what}: {why}");
    assert!(!is_all_tested(), "{sentence}");
    eprintln!("{sentence}");
}

/// Returns whether every test must be run.
pub(crate) fn is_all_tested() -> bool {
    std::env::var_os("LENTIL_TEST_ALL").is_some_and(|all| all == "1")
}

/// Asks again and again until it is so, for half a minute at most.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "this never came to be: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every file of a folder with a hash of what is in it.
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
