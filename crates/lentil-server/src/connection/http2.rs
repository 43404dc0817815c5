use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::{Request, header};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;

use super::state::ConnectionState;
use super::stream::ClientStream;
use super::{UpgradeSlot, memory};
use crate::ServerOptions;
use crate::body::{FromClient, ToClient};
use crate::progress::{PeerTimer, ProgressRule};
use crate::service::Service;

/// Estimated bytes of a connection with hyper's buffers, and of each stream.
const CONNECTION_BYTES: usize = 64 << 10;
const STREAM_BYTES: usize = 8 << 10;
/// Bytes of a response that wait for the client inside the HTTP/2 implementation.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// The time that an ending connection may stay without a stream: the client does not confirm the end.
const END_TIMEOUT: Duration = Duration::from_millis(600);
/// The number of steps in which the time without a stream is counted.
const STEPS: u32 = 4;

/// Serves requests side by side, until the client ends, has had no request for long, or the server shuts down.
pub(super) async fn serve(stream: ClientStream, service: Service) {
    let (account, _charge) = memory::open_account(&service, CONNECTION_BYTES);
    let of_requests = account.clone();
    let ServerOptions {
        max_streams,
        max_head_bytes,
        head_time,
        ..
    } = *service.options();
    let server = Arc::clone(service.server());
    let streams = Arc::new(Streams::new(stream.state(), &server.progress));
    let for_requests = Arc::clone(&streams);
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, (parts, incoming)) = (service.clone(), request.into_parts());
        let (parts, stream) = (Box::new(parts), for_requests.begin());
        let account = of_requests.clone();
        // A stream is never upgraded: the slot is ignored.
        async move {
            let slot = UpgradeSlot::default();
            let _head = account.charge(STREAM_BYTES + memory::head_size(&parts.headers));
            let body = FromClient {
                incoming,
                account: account.clone(),
            };
            let mut response = service.answer(parts, body, &slot).await;
            // HTTP/2 has no such header; the connection ends by itself.
            response.headers_mut().remove(header::CONNECTION);
            Ok::<_, Infallible>(response.map(|body| ToClient::of_stream(body, stream, &account)))
        }
    });
    let mut builder = http2::Builder::new(StreamExecutor(Arc::clone(&streams)));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(max_streams)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .max_header_list_size(max_head_bytes as u32)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(head_time / 2)
        .keep_alive_timeout(head_time / 2);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer));
    let served = tokio::select! {
        served = &mut connection => Some(served),
        () = streams.unused_for(head_time) => None,
        () = server.shutdown.cancelled() => None,
        () = memory::evicted(&account) => return,
    };
    let served = match served {
        Some(served) => served,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection => served,
                () = streams.unused_for(END_TIMEOUT.min(head_time)) => Ok(()),
                () = memory::evicted(&account) => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

/// The streams of one connection.
struct Streams {
    connection: Arc<ConnectionState>,
    rule: Arc<ProgressRule>,
    // Relaxed: a count that is read a step late delays the end of the connection by a step.
    live: AtomicUsize,
    opened: AtomicU64,
    /// The stream whose task is started next.
    next: Mutex<Option<Arc<StreamState>>>,
}

impl Streams {
    fn new(connection: &Arc<ConnectionState>, rule: &Arc<ProgressRule>) -> Streams {
        Streams {
            connection: Arc::clone(connection),
            rule: Arc::clone(rule),
            live: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            next: Mutex::new(None),
        }
    }

    /// Begins a stream. hyper calls the service and then at once the executor, for one request after another.
    fn begin(&self) -> Arc<StreamState> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let stream = Arc::new(StreamState::default());
        *self.next.lock() = Some(Arc::clone(&stream));
        stream
    }

    /// Returns once no stream was live, and no byte waited for the client, for this long.
    async fn unused_for(&self, time: Duration) {
        let (mut steps, mut opened) = (0, self.opened.load(Ordering::Relaxed));
        while steps < STEPS {
            tokio::time::sleep(time / STEPS).await;
            let now = self.opened.load(Ordering::Relaxed);
            let is_unused = self.live.load(Ordering::Relaxed) == 0
                && now == opened
                && !self.connection.is_blocked();
            steps = if is_unused { steps + 1 } else { 0 };
            opened = now;
        }
    }
}

/// The progress of a client in taking a response. The peer chooses the flow-control window of each stream, so bytes on
/// the socket say nothing of a single stream.
#[derive(Default)]
pub(crate) struct StreamState {
    // Relaxed: the stream's task alone writes both and reads them.
    /// Bytes that the HTTP/2 implementation has taken, which it does as the window allows.
    taken: AtomicU64,
    waits: AtomicBool,
}

impl StreamState {
    /// The body was asked for its next bytes: the client has room.
    pub(crate) fn asked(&self) {
        self.waits.store(false, Ordering::Relaxed);
    }

    /// These bytes wait for the client.
    pub(crate) fn gave(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
        self.waits.store(true, Ordering::Relaxed);
    }
}

/// Spawns the streams' tasks, and ends those whose clients are late.
#[derive(Clone)]
struct StreamExecutor(Arc<Streams>);

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let stream = self.0.next.lock().take().unwrap_or_default();
        let live = Live::begin(&self.0);
        tokio::spawn(async move { run(future, &stream, &live.0).await });
    }
}

/// A stream whose task runs.
struct Live(Arc<Streams>);

impl Live {
    fn begin(streams: &Arc<Streams>) -> Live {
        streams.live.fetch_add(1, Ordering::Relaxed);
        Live(Arc::clone(streams))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs a stream to its end, or drops it once its client is late, which resets the stream.
async fn run(future: impl Future<Output = ()>, stream: &StreamState, streams: &Streams) {
    let mut future = pin!(future);
    let mut timer: Option<PeerTimer> = None;
    poll_fn(|cx| {
        if future.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !stream.waits.load(Ordering::Relaxed) {
            if let Some(timer) = &mut timer {
                timer.pause();
            }
            return Poll::Pending;
        }
        let timer = timer.get_or_insert_with(|| PeerTimer::new(&streams.rule));
        // While the socket itself is blocked, the client takes the bytes of other streams first.
        let late = timer.poll_late(cx, || {
            (!streams.connection.is_blocked()).then(|| stream.taken.load(Ordering::Relaxed))
        });
        if late.is_ready() {
            tracing::debug!("a stream ends: the client takes its bytes too slowly or not at all");
        }
        late
    })
    .await;
}
