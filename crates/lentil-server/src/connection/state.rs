//! The state of one connection. The stream, the requests in flight and the registry share it.
//!
//! An HTTP/1 connection alternates between two phases, counted by one number:
//!
//! ```text
//! head awaited (even phase) ── InFlightRequest::begin ──► request in flight (odd phase)
//!        ▲                                                        │
//!        └───────────────── InFlightRequest dropped ──────────────┘
//! ```
//!
//! The registry reads the phase, decides later that its head is late, and then times out that
//! phase. If the head arrived in between, the phase has changed and the timeout has no effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;

/// The state of one connection.
#[derive(Default)]
pub(super) struct ConnectionState {
    /// Even while a request head is awaited, odd while a request is in flight.
    phase: AtomicU32,
    // `timed_out` and `is_shutting_down` are stored before the wake, and loaded after the waker was
    // registered. With sequential consistency the connection's task sees the value or is woken.
    /// One more than the phase that timed out; 0 if none has.
    timed_out: AtomicU32,
    is_shutting_down: AtomicBool,
    /// Whether written bytes wait because the client does not read.
    // Relaxed: a stale value delays a timeout by one check of the registry.
    is_blocked: AtomicBool,
    /// Wakes an HTTP/1 connection that has timed out or shuts down.
    waker: AtomicWaker,
}

impl ConnectionState {
    /// Returns the phase while a request head is awaited and no response waits for the client.
    pub(super) fn awaited_head(&self) -> Option<u32> {
        let phase = self.phase.load(Ordering::SeqCst);
        (phase.is_multiple_of(2) && !self.is_blocked()).then_some(phase)
    }

    /// Ends the connection unless the head that this phase awaited has arrived.
    pub(super) fn time_out(&self, phase: u32) {
        self.timed_out
            .store(phase.wrapping_add(1), Ordering::SeqCst);
        self.waker.wake();
    }

    /// Ends the connection once no request is in flight.
    pub(super) fn shut_down(&self) {
        self.is_shutting_down.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// Wakes this task when the connection times out or shuts down.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(super) fn is_timed_out(&self) -> bool {
        let timed_out = self.timed_out.load(Ordering::SeqCst);
        self.awaited_head()
            .is_some_and(|phase| timed_out == phase.wrapping_add(1))
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.is_shutting_down.load(Ordering::SeqCst)
    }

    /// Returns whether written bytes wait because the client does not read.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Relaxed)
    }

    pub(super) fn set_blocked(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
    }
}

/// A request of an HTTP/1 connection, from its head to the end of its response.
pub(super) struct InFlightRequest(Arc<ConnectionState>);

impl InFlightRequest {
    pub(super) fn begin(state: &Arc<ConnectionState>) -> InFlightRequest {
        // Relaxed: the connection's own task changes the phase, and polls it after the change.
        let before = state.phase.fetch_add(1, Ordering::Relaxed);
        debug_assert!(
            before.is_multiple_of(2),
            "a connection has one request in flight"
        );
        InFlightRequest(Arc::clone(state))
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.0.phase.fetch_add(1, Ordering::Relaxed);
    }
}
