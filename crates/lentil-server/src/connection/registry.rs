//! The open HTTP/1 connections. One task closes the connections whose next request head is late. At
//! shutdown it ends all connections without a request in flight.
//!
//! The alternative, a timer and a channel for each connection, would be polled twice for each
//! request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::state::ConnectionState;

/// The number of checks within the time that a head may take.
const HEAD_CHECKS: u32 = 4;
/// The time that an incomplete head still has once the server shuts down.
const SHUTDOWN_HEAD_TIMEOUT: Duration = Duration::from_millis(800);

/// The HTTP/1 connections that are open.
#[derive(Default)]
pub(crate) struct ConnectionRegistry(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    open: HashMap<u64, Entry>,
    /// The number of connections registered so far.
    registered: u64,
    is_shutting_down: bool,
}

struct Entry {
    state: Arc<ConnectionState>,
    /// The phase at the last check if a head was awaited then.
    awaited: Option<u32>,
    /// The number of checks that found the same head awaited.
    checks: u32,
}

impl ConnectionRegistry {
    /// Registers a connection until the returned value is dropped.
    pub(super) fn register(self: &Arc<Self>, state: &Arc<ConnectionState>) -> Registration {
        let mut entries = self.0.lock();
        entries.registered += 1;
        // `supervise` has notified the connections that were registered when the shutdown began.
        if entries.is_shutting_down {
            state.shut_down();
        }
        let number = entries.registered;
        let entry = Entry {
            state: Arc::clone(state),
            awaited: None,
            checks: 0,
        };
        entries.open.insert(number, entry);
        Registration {
            registry: Arc::clone(self),
            number,
        }
    }

    /// Closes connections whose next head takes longer than `timeout`, with a delay of at most one
    /// check. After `shutdown` it ends the connections without a request in flight, and shortens
    /// the timeout.
    pub(crate) async fn supervise(&self, timeout: Duration, shutdown: CancellationToken) {
        tokio::select! {
            () = self.close_late(timeout) => {}
            () = shutdown.cancelled() => {}
        }
        let mut open = Vec::new();
        {
            let mut entries = self.0.lock();
            entries.is_shutting_down = true;
            for entry in entries.open.values_mut() {
                // The checks begin again, because the shorter timeout counts from the shutdown.
                entry.awaited = None;
                open.push(Arc::clone(&entry.state));
            }
        }
        // The lock is released first: a woken connection may end and remove itself.
        for state in open {
            state.shut_down();
        }
        self.close_late(timeout.min(SHUTDOWN_HEAD_TIMEOUT)).await;
    }

    async fn close_late(&self, timeout: Duration) {
        loop {
            tokio::time::sleep(timeout / HEAD_CHECKS).await;
            let late: Vec<_> = {
                let mut entries = self.0.lock();
                entries.open.values_mut().filter_map(Entry::check).collect()
            };
            // As in `supervise`, connections are woken without the lock.
            for (state, phase) in late {
                state.time_out(phase);
            }
        }
    }
}

impl Entry {
    /// Counts a check. Returns the phase if its head is late.
    fn check(&mut self) -> Option<(Arc<ConnectionState>, u32)> {
        let awaited = self.state.awaited_head();
        let is_same = awaited.is_some() && awaited == self.awaited;
        self.checks = if is_same { self.checks + 1 } else { 0 };
        self.awaited = awaited;
        let phase = awaited.filter(|_| self.checks >= HEAD_CHECKS)?;
        Some((Arc::clone(&self.state), phase))
    }
}

/// A connection's entry in the registry. Dropping it removes the entry.
pub(super) struct Registration {
    registry: Arc<ConnectionRegistry>,
    number: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.0.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::super::state::InFlightRequest;
    use super::*;

    async fn second_passes() {
        tokio::task::yield_now().await;
        advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_late_head_times_out() {
        let registry = Arc::new(ConnectionRegistry::default());
        let [late, busy, quick, blocked] = [(); 4].map(|()| Arc::new(ConnectionState::default()));
        let supervising = tokio::spawn({
            let registry = Arc::clone(&registry);
            async move {
                let shutdown = CancellationToken::new();
                registry.supervise(Duration::from_secs(4), shutdown).await;
            }
        });
        let _registered = [&late, &busy, &quick, &blocked].map(|state| registry.register(state));
        let in_flight = InFlightRequest::begin(&busy);
        // The response was written, and the client has not read it.
        blocked.set_blocked(true);
        for second in 1..=5 {
            second_passes().await;
            assert_eq!(late.is_timed_out(), second == 5, "after {second} s");
            assert!(
                ![&busy, &quick, &blocked]
                    .iter()
                    .any(|state| state.is_timed_out())
            );
            if second == 3 {
                drop(InFlightRequest::begin(&quick));
            }
        }
        // The head arrives after the timeout and before the connection is closed.
        let arrived = InFlightRequest::begin(&late);
        assert!(!late.is_timed_out());
        drop((arrived, in_flight));
        assert!(!late.is_timed_out());
        supervising.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_reaches_every_connection_and_ends_incomplete_heads() {
        let registry = Arc::new(ConnectionRegistry::default());
        let [before, gone, after, busy] = [(); 4].map(|()| Arc::new(ConnectionState::default()));
        let shutdown = CancellationToken::new();
        let _before = [&before, &busy].map(|state| registry.register(state));
        let in_flight = InFlightRequest::begin(&busy);
        drop(registry.register(&gone));
        shutdown.cancel();
        let supervising = tokio::spawn({
            let registry = Arc::clone(&registry);
            async move { registry.supervise(Duration::from_secs(75), shutdown).await }
        });
        tokio::task::yield_now().await;
        let _after = registry.register(&after);
        let are_shutting_down =
            [&before, &gone, &after, &busy].map(|state| state.is_shutting_down());
        assert_eq!(are_shutting_down, [true, false, true, true]);
        // No further byte of their heads arrives.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(before.is_timed_out() && after.is_timed_out() && !busy.is_timed_out());
        drop(in_flight);
        supervising.abort();
    }
}
