use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use lentil_runtime::memory::{Account, Charge};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::body::{FromClient, ToClient};
use crate::head::{Answering, Head};
use crate::service::Service;
use crate::sync::{self, Upgrade};
use crate::{ServerOptions, linger};

/// How every HTTP/2 connection begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Estimates of what a connection takes by itself, with hyper's buffers.
const HTTP1_BYTES: usize = 16 << 10;
const HTTP2_BYTES: usize = 64 << 10;
/// What an HTTP/2 stream takes, and each of its headers.
const STREAM_BYTES: usize = 8 << 10;
const HEADER_BYTES: usize = 128;
/// How long an evicted client has to take the response that says so.
const LAST_RESPONSE_TIME: Duration = Duration::from_millis(100);

/// Serves one connection until its end, or until the server drains.
pub(crate) async fn serve(stream: TcpStream, service: Service) {
    // Answers are small and awaited: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let first = tokio::time::timeout(service.options().first_byte_time, speaks_http2(&stream));
    match first.await {
        Ok(Ok(true)) => Box::pin(serve_http2(stream, service)).await,
        Ok(Ok(false)) => serve_http1(stream, service).await,
        // It hung up or never spoke: there is nobody to answer.
        Ok(Err(_)) | Err(_) => {}
    }
}

/// Looks at the first bytes without taking them, until they can or cannot be the preface.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut seen = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut seen).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !PREFACE.starts_with(&seen[..count]) {
            return Ok(false);
        }
        if count == PREFACE.len() {
            return Ok(true);
        }
        // The bytes that are there stay readable, so that only time tells whether more have come.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Where a request that was answered 101 leaves word of what the connection is from then on.
pub(crate) type UpgradeSlot = Mutex<Option<Upgrade>>;

/// What the requests of a connection share.
struct Shared {
    service: Service,
    head: Arc<Head>,
    slot: UpgradeSlot,
    account: Account,
}

impl Shared {
    async fn answer(&self, parts: Box<Parts>, incoming: Incoming) -> Response<ToClient> {
        let answering = Answering::begin(&self.head);
        let account = self.account.clone();
        let body = FromClient { incoming, account };
        let response = self.service.answer(parts, body, &self.slot).await;
        response.map(|body| ToClient::new(body, Some(answering), &self.account))
    }
}

async fn serve_http1(stream: TcpStream, service: Service) {
    let (account, _held) = open_account(&service, HTTP1_BYTES);
    let ServerOptions { max_head_bytes, .. } = *service.options();
    let (head, server) = (Arc::new(Head::default()), Arc::clone(service.server()));
    let watching = server.heads.watch(&head);
    let io = TokioIo::new(stream);
    let shared = Arc::new(Shared {
        service,
        head,
        slot: UpgradeSlot::default(),
        account: account.clone(),
    });
    let for_requests = Arc::clone(&shared);
    let answer = service_fn(move |request: Request<Incoming>| {
        let (shared, (parts, incoming)) = (Arc::clone(&for_requests), request.into_parts());
        let parts = Box::new(parts);
        Box::pin(async move { Ok::<_, Infallible>(shared.answer(parts, incoming).await) })
    });
    let mut builder = http1::Builder::new();
    builder.max_buf_size(max_head_bytes.max(8 << 10));
    // A client that has sent all and hung up loses the answer, not the work.
    builder.half_close(true);
    let mut connection = builder.serve_connection(io, answer);
    let mut drains = false;
    let serving = poll_fn(|cx| {
        shared.head.wakes(cx.waker());
        if shared.head.is_draining() && !drains {
            drains = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        match connection.poll_without_shutdown(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(true),
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "a connection ended");
                Poll::Ready(false)
            }
            Poll::Pending if shared.head.is_cut() => {
                tracing::debug!("a connection ended: no request came in time");
                Poll::Ready(false)
            }
            Poll::Pending => Poll::Pending,
        }
    });
    let is_served = tokio::select! {
        is_served = serving => is_served,
        () = evicted(&account) => false,
    };
    drop(watching);
    let parts = connection.into_parts();
    let stream = parts.io.into_inner();
    let upgrade = shared.slot.lock().take().filter(|_| is_served);
    match upgrade {
        // Apart, so that other connections do not carry the room that a session needs.
        Some(upgrade) => {
            Box::pin(sync::serve(
                server,
                stream,
                parts.read_buf,
                upgrade,
                account,
            ))
            .await
        }
        None => linger::close(stream).await,
    }
}

async fn serve_http2(stream: TcpStream, service: Service) {
    let (account, _held) = open_account(&service, HTTP2_BYTES);
    let for_requests = account.clone();
    let ServerOptions {
        max_streams,
        max_head_bytes,
        head_time,
        ..
    } = *service.options();
    let mut draining = service.server().draining.clone();
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, (parts, incoming)) = (service.clone(), request.into_parts());
        let parts = Box::new(parts);
        let account = for_requests.clone();
        // A stream is not upgraded: what is asked for here comes to nothing.
        async move {
            let _head = account.charge(STREAM_BYTES + head_size(&parts.headers));
            let body = FromClient {
                incoming,
                account: account.clone(),
            };
            let mut response = service.answer(parts, body, &UpgradeSlot::default()).await;
            // HTTP/2 has no such header; the connection ends by itself.
            response.headers_mut().remove(header::CONNECTION);
            Ok::<_, Infallible>(response.map(|body| ToClient::new(body, None, &account)))
        }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(max_streams)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .max_header_list_size(max_head_bytes as u32)
        .keep_alive_interval(head_time / 2)
        .keep_alive_timeout(head_time / 2);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer));
    let served = tokio::select! {
        served = &mut connection => served,
        () = begins(&mut draining) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = evicted(&account) => return,
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Opens a connection's account; what the connection itself takes is charged to the process.
fn open_account(service: &Service, bytes: usize) -> (Account, Charge) {
    let memory = service.server().runtime.memory();
    (memory.client(), memory.charge(bytes))
}

/// Estimates the memory that headers take.
fn head_size(headers: &HeaderMap) -> usize {
    let of = |(name, value): (&HeaderName, &HeaderValue)| {
        HEADER_BYTES + name.as_str().len() + value.len()
    };
    headers.iter().map(of).sum()
}

/// Returns when the connection is to be cut, because its client holds too much and was told, or its response has begun.
async fn evicted(account: &Account) {
    account.evicted().await;
    tokio::time::sleep(LAST_RESPONSE_TIME).await;
}

/// Waits until the server drains; the one that says so outlives every connection.
pub(crate) async fn begins(draining: &mut watch::Receiver<bool>) {
    let _ = draining.wait_for(|draining| *draining).await;
}
