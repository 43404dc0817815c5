use std::sync::atomic::{AtomicU64, Ordering};

use lentil_store::Timestamp;

/// The timestamp of the first commit that invalidates a result, once there is one.
///
/// It is 0 until then, which is not the timestamp of any commit.
// `set` releases and the readers acquire: a watcher that is notified of a published commit must see
// that it is set.
#[derive(Default)]
pub(crate) struct Invalidation(AtomicU64);

impl Invalidation {
    /// Returns an invalidation that is set already.
    pub(crate) fn at(timestamp: Timestamp) -> Invalidation {
        Invalidation(AtomicU64::new(timestamp.as_nanos()))
    }

    pub(crate) fn set(&self, timestamp: Timestamp) {
        self.0.store(timestamp.as_nanos(), Ordering::Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Returns whether the result is valid at a published timestamp.
    pub(crate) fn is_valid_at(&self, timestamp: Timestamp) -> bool {
        match self.0.load(Ordering::Acquire) {
            0 => true,
            invalidated => invalidated > timestamp.as_nanos(),
        }
    }
}
