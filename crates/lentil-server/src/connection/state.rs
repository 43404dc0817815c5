//! The state of one connection. The stream, the requests in flight and the registry share it; no byte is read for it.
//!
//! ```text
//! head awaited (even phase) ── InFlightRequest::begin ──► request in flight (odd phase)
//!        ▲                                                        │
//!        └───────────────── InFlightRequest dropped ──────────────┘
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;

/// The state of one connection.
#[derive(Default)]
pub(crate) struct ConnectionState {
    // `timed_out` and `is_shutting_down` are set before the wake, and read after the waker was registered. So the
    // connection's task either sees the value or is woken. `timed_out` names a phase, so a time-out that was decided
    // before a head arrived does not end the request that the head has begun.
    /// Even while a request's head is awaited, odd while a request is in flight.
    phase: AtomicU32,
    /// The phase after the one in which the connection timed out.
    timed_out: AtomicU32,
    is_shutting_down: AtomicBool,
    /// Whether bytes wait because the client does not take them.
    is_blocked: AtomicBool,
    /// Wakes an HTTP/1 connection that has timed out or shuts down.
    waker: AtomicWaker,
}

impl ConnectionState {
    /// The phase, while a request's head is awaited and no response waits for the client.
    pub(super) fn awaited_head(&self) -> Option<u32> {
        let phase = self.phase.load(Ordering::SeqCst);
        (phase.is_multiple_of(2) && !self.is_blocked()).then_some(phase)
    }

    /// Ends the connection, unless the head that was awaited in this phase has arrived meanwhile.
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
        self.awaited_head()
            .is_some_and(|phase| self.timed_out.load(Ordering::SeqCst) == phase.wrapping_add(1))
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.is_shutting_down.load(Ordering::SeqCst)
    }

    /// Returns whether bytes wait because the client does not take them.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Relaxed)
    }

    pub(super) fn set_blocked(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
    }
}

/// A request of an HTTP/1 connection, from its head to the end of its response.
pub(crate) struct InFlightRequest(Arc<ConnectionState>);

impl InFlightRequest {
    pub(super) fn begin(state: &Arc<ConnectionState>) -> InFlightRequest {
        state.phase.fetch_add(1, Ordering::Relaxed);
        InFlightRequest(Arc::clone(state))
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.0.phase.fetch_add(1, Ordering::Relaxed);
    }
}
