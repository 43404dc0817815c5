use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lentil_runtime::memory::Account;

use super::memory;
use super::response_body::ResponseBody;
use super::stream::ClientStream;
use super::streams::{StreamExecutor, StreamState, Streams};
use crate::options::ServerOptions;
use crate::request_body::RequestBody;
use crate::service::Service;
use crate::sync::UpgradeSlot;

/// Estimated bytes of a connection with hyper's buffers.
const CONNECTION_BYTES: usize = 64 << 10;
/// Estimated bytes of a stream.
const STREAM_BYTES: usize = 8 << 10;
/// Bytes of a response that wait for the client inside the HTTP/2 implementation.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// The time after which an ending connection without streams is closed, although its client has not
/// confirmed the end.
const GOAWAY_TIMEOUT: Duration = Duration::from_millis(600);

/// Serves requests concurrently until the client ends the connection, has sent no request for the
/// head timeout, or the server shuts down.
pub(super) async fn serve(stream: ClientStream, service: Service) {
    let (account, _charge) = memory::open_account(&service, CONNECTION_BYTES);
    let server = Arc::clone(service.server());
    let head_timeout = server.options.head_timeout;
    let streams = Arc::new(Streams::new(stream.state(), &server.progress));
    let respond = service_fn({
        let streams = Arc::clone(&streams);
        let account = account.clone();
        move |request: Request<Incoming>| {
            // Created here and not in the future, because hyper calls the executor directly after
            // this closure.
            let stream = streams.begin();
            let response = respond(service.clone(), request, stream, account.clone());
            async move { Ok::<_, Infallible>(response.await) }
        }
    });
    let builder = builder(&server.options, StreamExecutor(Arc::clone(&streams)));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), respond));

    let served = tokio::select! {
        served = &mut connection => Some(served),
        () = streams.idle_for(head_timeout) => None,
        () = server.shutdown.cancelled() => None,
        () = memory::evicted(&account) => return,
    };
    let served = match served {
        Some(served) => served,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection => served,
                () = streams.idle_for(GOAWAY_TIMEOUT.min(head_timeout)) => Ok(()),
                () = memory::evicted(&account) => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP/2 connection failed");
    }
}

fn builder(options: &ServerOptions, executor: StreamExecutor) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.max_streams)
        // These two limits bound the work for a client that opens streams only to have them reset
        // (CVE-2023-44487).
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .max_header_list_size(options.max_head_bytes as u32)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        // Both together are the head timeout, after which a client that has vanished is noticed.
        .keep_alive_interval(options.head_timeout / 2)
        .keep_alive_timeout(options.head_timeout / 2);
    builder
}

async fn respond(
    service: Service,
    request: Request<Incoming>,
    stream: Arc<StreamState>,
    account: Account,
) -> Response<ResponseBody> {
    let (parts, incoming) = request.into_parts();
    let parts = Box::new(parts);
    let _head = account.charge(STREAM_BYTES + memory::head_size(&parts.headers));
    let body = RequestBody {
        incoming,
        account: account.clone(),
    };
    // A stream cannot become a WebSocket, so nothing reads this slot.
    let slot = UpgradeSlot::default();
    let mut response = service.respond(parts, body, &slot).await;
    // HTTP/2 has no such header. The connection ends by its own rules.
    response.headers_mut().remove(header::CONNECTION);
    response.map(|body| ResponseBody::of_stream(body, stream, &account))
}
