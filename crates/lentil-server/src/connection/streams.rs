//! The streams of one HTTP/2 connection: their count, and how fast the client reads each response.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use parking_lot::Mutex;

use super::state::ConnectionState;
use crate::progress::{PeerTimer, ProgressRule};

/// The number of checks within the time that a connection may stay without a stream.
const IDLE_CHECKS: u32 = 4;

/// The streams of one connection.
pub(super) struct Streams {
    connection: Arc<ConnectionState>,
    rule: Arc<ProgressRule>,
    // Relaxed: a stale count delays the end of the connection by one check.
    live: AtomicUsize,
    opened: AtomicU64,
    /// The stream whose task hyper starts next.
    next: Mutex<Option<Arc<StreamState>>>,
}

impl Streams {
    pub(super) fn new(connection: &Arc<ConnectionState>, rule: &Arc<ProgressRule>) -> Streams {
        Streams {
            connection: Arc::clone(connection),
            rule: Arc::clone(rule),
            live: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            next: Mutex::new(None),
        }
    }

    /// Begins a stream. For each request hyper calls the service, and immediately after it the
    /// executor, which takes the state from `next`.
    pub(super) fn begin(&self) -> Arc<StreamState> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let stream = Arc::new(StreamState::default());
        *self.next.lock() = Some(Arc::clone(&stream));
        stream
    }

    /// Returns when the connection has been idle for `time`: no live stream, and no byte that waits
    /// for the client.
    pub(super) async fn idle_for(&self, time: Duration) {
        let mut opened = self.opened.load(Ordering::Relaxed);
        let mut idle_checks = 0;
        while idle_checks < IDLE_CHECKS {
            tokio::time::sleep(time / IDLE_CHECKS).await;
            let opened_before = std::mem::replace(&mut opened, self.opened.load(Ordering::Relaxed));
            let is_idle = self.live.load(Ordering::Relaxed) == 0
                && opened == opened_before
                && !self.connection.is_blocked();
            idle_checks = if is_idle { idle_checks + 1 } else { 0 };
        }
    }
}

/// The client's progress in reading one response.
///
/// The client chooses the flow-control window of each stream, so the bytes that the socket accepts
/// do not show the progress of a single stream.
#[derive(Default)]
pub(super) struct StreamState {
    // Relaxed: only the stream's task reads and writes both.
    /// Bytes that the HTTP/2 implementation has taken. It takes them as the window allows.
    taken: AtomicU64,
    is_waiting: AtomicBool,
}

impl StreamState {
    /// Records that HTTP/2 asked for the next bytes: the client has room.
    pub(super) fn has_room(&self) {
        self.is_waiting.store(false, Ordering::Relaxed);
    }

    /// Records that bytes now wait for the client.
    pub(super) fn sent(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
        self.is_waiting.store(true, Ordering::Relaxed);
    }
}

/// Spawns the tasks of streams, and ends the streams whose clients are late.
#[derive(Clone)]
pub(super) struct StreamExecutor(pub(super) Arc<Streams>);

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let stream = self.0.next.lock().take().unwrap_or_default();
        let live = LiveStream::begin(&self.0);
        tokio::spawn(async move { run_stream(future, &stream, &live.0).await });
    }
}

/// Counts a stream as live until it is dropped.
struct LiveStream(Arc<Streams>);

impl LiveStream {
    fn begin(streams: &Arc<Streams>) -> LiveStream {
        streams.live.fetch_add(1, Ordering::Relaxed);
        LiveStream(Arc::clone(streams))
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs a stream to completion, or drops it once its client is late. Dropping resets the stream.
async fn run_stream(future: impl Future<Output = ()>, stream: &StreamState, streams: &Streams) {
    let mut future = pin!(future);
    let mut timer: Option<PeerTimer> = None;
    poll_fn(|cx| {
        if future.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !stream.is_waiting.load(Ordering::Relaxed) {
            if let Some(timer) = &mut timer {
                timer.pause();
            }
            return Poll::Pending;
        }

        let timer = timer.get_or_insert_with(|| PeerTimer::new(&streams.rule));
        let late = timer.poll_late(cx, || {
            // While the socket is blocked, the client first reads the bytes of other streams.
            if streams.connection.is_blocked() {
                return None;
            }
            Some(stream.taken.load(Ordering::Relaxed))
        });
        if late.is_ready() {
            tracing::debug!("reset a stream: the client reads too slowly or not at all");
        }
        late
    })
    .await;
}
