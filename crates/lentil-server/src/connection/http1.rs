use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lentil_runtime::memory::Account;

use super::state::{ConnectionState, InFlightRequest};
use super::stream::ClientStream;
use super::{UpgradeSlot, memory};
use crate::body::{FromClient, ToClient};
use crate::service::Service;
use crate::{ServerOptions, sync};

/// Estimated bytes of a connection with hyper's buffers.
const CONNECTION_BYTES: usize = 16 << 10;

/// The state that the requests of a connection share.
struct Shared {
    service: Service,
    state: Arc<ConnectionState>,
    slot: UpgradeSlot,
    account: Account,
}

impl Shared {
    async fn answer(&self, parts: Box<Parts>, incoming: Incoming) -> Response<ToClient> {
        let in_flight = InFlightRequest::begin(&self.state);
        let account = self.account.clone();
        let body = FromClient { incoming, account };
        let response = self.service.answer(parts, body, &self.slot).await;
        response.map(|body| ToClient::of_request(body, in_flight, &self.account))
    }
}

/// The end of HTTP/1 on a connection.
#[derive(PartialEq, Eq)]
enum ConnectionEnd {
    /// The client or the server wanted no further request, or the connection was upgraded.
    Served,
    /// No request came in time.
    TimedOut,
    Failed,
}

/// Serves requests one after another, and the WebSocket that one of them may ask for.
pub(super) async fn serve(stream: ClientStream, service: Service) {
    let (account, _charge) = memory::open_account(&service, CONNECTION_BYTES);
    let ServerOptions { max_head_bytes, .. } = *service.options();
    let (state, server) = (Arc::clone(stream.state()), Arc::clone(service.server()));
    let registration = server.connections.register(&state);
    let shared = Arc::new(Shared {
        service,
        state,
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
    // A client that has sent all and hung up loses the response, not the work.
    builder.half_close(true);
    let mut connection = builder.serve_connection(TokioIo::new(stream), answer);
    let mut is_ending = false;
    let end = poll_fn(|cx| {
        shared.state.register(cx.waker());
        if shared.state.is_shutting_down() && !is_ending {
            is_ending = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        match connection.poll_without_shutdown(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(ConnectionEnd::Served),
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "a connection ended");
                Poll::Ready(ConnectionEnd::Failed)
            }
            Poll::Pending if shared.state.is_timed_out() => {
                tracing::debug!("a connection ended: no request came in time");
                Poll::Ready(ConnectionEnd::TimedOut)
            }
            Poll::Pending => Poll::Pending,
        }
    });
    let end = tokio::select! {
        end = end => end,
        () = memory::evicted(&account) => ConnectionEnd::Failed,
    };
    drop(registration);
    let parts = connection.into_parts();
    let stream = parts.io.into_inner();
    let upgrade = shared.slot.lock().take();
    match upgrade.filter(|_| end == ConnectionEnd::Served) {
        // Boxed, so that other connections do not carry the room that a session needs.
        Some(upgrade) => {
            let session = sync::serve(server, stream, parts.read_buf, upgrade, account);
            Box::pin(session).await;
        }
        None => super::linger::close(stream, &server.shutdown).await,
    }
}
