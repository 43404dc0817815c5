use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Ends the store's periodic threads between two steps.
#[derive(Default)]
pub(crate) struct StopSignal {
    is_stopped: Mutex<bool>,
    changed: Condvar,
}

impl StopSignal {
    pub(crate) fn stop(&self) {
        *self.is_stopped.lock() = true;
        self.changed.notify_all();
    }

    /// Waits for this duration; returns false if the thread must end.
    pub(crate) fn wait(&self, duration: Duration) -> bool {
        let mut is_stopped = self.is_stopped.lock();
        if !*is_stopped {
            self.changed.wait_for(&mut is_stopped, duration);
        }
        !*is_stopped
    }
}
