//! Snapshots that are kept for `query_at_ts`.
//!
//! The store keeps no history. `query_ts` therefore takes a lease on a snapshot. A later
//! `query_at_ts` reads the snapshot if the data that it reads has changed since.
//!
//! Clients can request many timestamps at little cost, so the number of leases is bounded: requests
//! at one timestamp share a lease, and the oldest lease ends when there are too many.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lentil_runtime::{QuerySnapshot, Timestamp};
use parking_lot::Mutex;

/// The time from the last request for a timestamp to the end of its lease.
const LEASE_TIMEOUT: Duration = Duration::from_secs(30);
/// The most leases at one time.
const MAX_LEASES: usize = 64;

/// The snapshots of the timestamps that clients were given.
pub(crate) struct SnapshotLeases {
    /// The published timestamp at the start. This process has given out none below it.
    started: Timestamp,
    leases: Mutex<VecDeque<Lease>>,
}

struct Lease {
    since: Instant,
    snapshot: Arc<QuerySnapshot>,
}

impl SnapshotLeases {
    /// Creates an empty collection when the published timestamp is `started`.
    pub(crate) fn new(started: Timestamp) -> SnapshotLeases {
        SnapshotLeases {
            started,
            leases: Mutex::default(),
        }
    }

    /// Returns whether this process can have given out a timestamp.
    pub(crate) fn may_have_issued(&self, timestamp: Timestamp) -> bool {
        timestamp >= self.started
    }

    /// Adds a lease. It replaces a lease of the same timestamp, which would end earlier.
    pub(crate) fn add(&self, snapshot: QuerySnapshot) {
        let timestamp = snapshot.timestamp();
        let mut leases = self.leases.lock();
        let same = leases
            .iter()
            .position(|lease| lease.snapshot.timestamp() == timestamp);
        let replaced = same.and_then(|at| leases.remove(at));
        leases.push_back(Lease {
            since: Instant::now(),
            snapshot: Arc::new(snapshot),
        });
        let evicted = if leases.len() > MAX_LEASES {
            leases.pop_front()
        } else {
            None
        };
        // Dropping a snapshot executes a statement on its connection, so the lock is released
        // first.
        drop(leases);
        drop(replaced);
        drop(evicted);
    }

    /// Returns the snapshot of a timestamp if its lease has not ended.
    pub(crate) fn get(&self, timestamp: Timestamp) -> Option<Arc<QuerySnapshot>> {
        self.release_expired();
        let leases = self.leases.lock();
        leases
            .iter()
            .find(|lease| lease.snapshot.timestamp() == timestamp)
            .map(|lease| Arc::clone(&lease.snapshot))
    }

    /// Ends the leases whose time is over.
    pub(crate) fn release_expired(&self) {
        let mut leases = self.leases.lock();
        let (expired, current): (VecDeque<Lease>, VecDeque<Lease>) =
            leases.drain(..).partition(Lease::is_expired);
        *leases = current;
        // As in `add`, snapshots are dropped without the lock.
        drop(leases);
        drop(expired);
    }
}

impl Lease {
    fn is_expired(&self) -> bool {
        self.since.elapsed() >= LEASE_TIMEOUT || self.snapshot.has_expired()
    }
}
