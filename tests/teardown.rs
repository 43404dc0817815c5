//! The end of a test run: checks that no test has left a process behind.

use std::thread;
use std::time::{Duration, Instant};

use lentil_tests::Leftover;

/// The time that killed processes have to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn no_test_has_left_a_process_behind() {
    let deadline = Instant::now() + PATIENCE;
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
