//! The end of a test run: checks that no test has left a process behind.

use std::thread;
use std::time::{Duration, Instant};

use lentil_tests::Leftover;

/// The time within which killed processes must be gone.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn no_process_is_left_behind() {
    let deadline = Instant::now() + EXIT_TIMEOUT;
    loop {
        let left = Leftover::of_checkout();
        if left.is_empty() {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "tests have left these processes behind; end them by their pids: {left:#?}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}
