//! Whether an HTTP/1 connection awaits a request's head or answers a request. No byte of the head is read for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;

/// The state of one connection; the service, the response and the task that closes late ones ([`crate::heads`]) share
/// it.
#[derive(Default)]
pub(crate) struct Head {
    /// Even while a head is awaited, odd while a request is answered.
    phase: AtomicU32,
    /// The phase after the one in which the connection was to be cut.
    cut: AtomicU32,
    is_draining: AtomicBool,
    /// Wakes the connection when it is to be cut or to drain.
    waker: AtomicWaker,
}

impl Head {
    /// The phase, while a head is awaited.
    pub(crate) fn awaited(&self) -> Option<u32> {
        let phase = self.phase.load(Ordering::SeqCst);
        phase.is_multiple_of(2).then_some(phase)
    }

    /// The connection is to be cut, unless the head that was awaited in this phase has come meanwhile.
    pub(crate) fn cut(&self, phase: u32) {
        self.cut.store(phase.wrapping_add(1), Ordering::SeqCst);
        self.waker.wake();
    }

    /// The connection is to end once no request is being answered.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// Wakes this task from now on when the connection is to be cut or to drain.
    pub(crate) fn wakes(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.awaited()
            .is_some_and(|phase| self.cut.load(Ordering::SeqCst) == phase.wrapping_add(1))
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }
}

/// A request is being answered, until this is dropped: what comes next is the next one's head.
pub(crate) struct Answering(Arc<Head>);

impl Answering {
    pub(crate) fn begin(head: &Arc<Head>) -> Answering {
        head.phase.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(head))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.phase.fetch_add(1, Ordering::Relaxed);
    }
}
